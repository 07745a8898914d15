/**
 * A short-lived process that imports model files and answers with their descriptions, one message per file: what a
 * file does when it is imported happens here and not in the api or a worker. Started by the catalogue.
 */
import { spawnSync } from 'node:child_process'
import { pathToFileURL } from 'node:url'
import type { SourceFile } from './describe-files.ts'
import type { Fault } from './describe-text.ts'
import { describeExport } from './description.ts'
import { DescriptionFault, reasonOf } from './description-fault.ts'
import { importSource } from './import-source.ts'

process.on('message', async (asked: SourceFile) => {
  process.send?.(await answer(asked))
})

async function answer({ file, source }: SourceFile) {
  try {
    const module = await importSource(file, source)
    // Through JSON and back: a schema must be nothing but data.
    return { file, description: JSON.parse(JSON.stringify(describeExport(file, module.default))) }
  } catch (error) {
    return { file, faults: faultsOf(file, source, error) }
  }
}

function faultsOf(file: string, source: string, error: unknown): Fault[] {
  if (error instanceof DescriptionFault) return error.issues.map((issue) => ({ reason: reasonOf(issue) }))
  if (!(error instanceof Error)) return [{ reason: String(error) }]
  // The first place in the file itself: above it stands where a syntax error is, below it who threw.
  const place = [pathToFileURL(file).href, file].flatMap((name) => error.stack?.split(`${name}:`)[1] ?? [])[0]
  const line = Number.parseInt(place ?? '', 10) || (error instanceof SyntaxError ? lineOfSyntax(source) : 0)
  return [{ ...(line > 0 ? { line } : {}), reason: error.message }]
}

/** An import does not say where the text of a module breaks off; a check of it does. */
function lineOfSyntax(source: string): number {
  const check = spawnSync(process.execPath, ['--check', '--input-type=module', '-'], { input: source })
  return Number(/^\[stdin\]:(\d+)/m.exec(check.stderr.toString())?.[1] ?? 0)
}
