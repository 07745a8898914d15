import { extname } from 'node:path'
import { checkSchemas } from './check-schemas.ts'
import { type Described, describeFiles } from './describe-files.ts'
import { type DescribedText, describeText } from './describe-text.ts'
import { DescriptionFault, reasonOf } from './description-fault.ts'
import { programsOf, readFiles } from './model-files.ts'
import { versionIdOf } from './version-id.ts'

/** Describes files from their bytes, modules together and each file by itself: what is wrong with one stops no other. */
export async function describeAll(files: ReadonlyMap<string, Buffer>): Promise<Map<string, DescribedText>> {
  const modules = [...files]
    .filter(([file]) => isModule(file))
    .map(([file, bytes]) => ({ file, source: bytes.toString('utf8') }))
  const imported = new Map((await describeFiles(modules)).map((described) => [described.file, described]))
  const all = await Promise.all(
    [...files].map(async ([file, bytes]): Promise<[string, DescribedText]> => {
      return [file, await describeOne(file, bytes, imported.get(file)).catch(unforeseen)]
    }),
  )
  return new Map(all)
}

async function describeOne(
  file: string,
  bytes: Buffer,
  imported: Described | undefined,
): Promise<DescribedText> {
  const text = bytes.toString('utf8')
  return finish(imported ? checked(imported, text) : describeText(file, text), bytes)
}

/** Such as what is too large or too deep to be looked at. */
function unforeseen(error: unknown): DescribedText {
  if (error instanceof RangeError) return { faults: [{ reason: 'The file is nested too deeply.' }] }
  return { faults: [{ reason: error instanceof Error ? error.message : String(error) }] }
}

const isModule = (file: string): boolean => ['.ts', '.mjs'].includes(extname(file))

function checked({ description, faults }: Described, source: string): DescribedText {
  if (!description) return { faults }
  try {
    checkSchemas(description)
    const { file } = description
    return { description: { ...description, provider: { kind: 'module', file, source } } }
  } catch (error) {
    if (!(error instanceof DescriptionFault)) throw error
    return { faults: error.issues.map((issue) => ({ reason: reasonOf(issue) })) }
  }
}

async function finish(described: DescribedText, bytes: Buffer): Promise<DescribedText> {
  const { description } = described
  if (!description) return described
  const programs = await readFiles(programsOf(description))
  return { description: { ...description, versionId: versionIdOf(description, [bytes, ...programs]) } }
}
