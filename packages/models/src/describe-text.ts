import { extname } from 'node:path'
import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument } from 'yaml'
import { checkSchemas } from './check-schemas.ts'
import { describeSettings, type ModelDescription } from './description.ts'
import { DescriptionFault, reasonOf } from './description-fault.ts'

/** Describes the text of a `.json`, `.yaml` or `.yml` file, or says what is wrong with it and on which lines. */
export function describeText(file: string, text: string): DescribedText {
  const read = extname(file) === '.json' ? readJson(text) : readYaml(text)
  if ('faults' in read) return read
  try {
    const description = describeSettings(file, read.value)
    checkSchemas(description)
    return { description }
  } catch (error) {
    if (!(error instanceof DescriptionFault)) throw error
    return {
      faults: error.issues.map((issue) => ({ line: read.lineOf(issue.path), reason: reasonOf(issue) })),
    }
  }
}

function readJson(text: string): ReadText {
  const { document, lineAt } = parse(text, 'json')
  try {
    const value: unknown = JSON.parse(text.replace(/^\uFEFF/, ''))
    return { value, lineOf: (path) => lineAt(offsetOf(document, path)) }
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    const [, told] = /line (\d+)/.exec(message) ?? []
    // JSON is YAML with fewer freedoms: what breaks the one mostly breaks the other, which says where.
    const line = told === undefined ? lineAt(document.errors[0]?.pos[0] ?? text.length) : Number(told)
    return { faults: [{ line, reason: `The file is not JSON: ${message}` }] }
  }
}

function readYaml(text: string): ReadText {
  const { document, lineAt } = parse(text, 'core')
  const [first, ...more] = document.errors.toSorted((a, b) => a.pos[0] - b.pos[0])
  if (first) {
    // The others mostly come of the first.
    const others = more.length === 0 ? '' : ` (and ${more.length} more from there on)`
    const reason = `The file is not YAML: ${first.message.split(' at line')[0]}${others}`
    return { faults: [{ line: lineAt(first.pos[0]), reason }] }
  }
  try {
    return { value: document.toJS(), lineOf: (path) => lineAt(offsetOf(document, path)) }
  } catch (error) {
    // Aliases that grow beyond measure.
    return { faults: [{ line: 1, reason: `The file is not YAML: ${(error as Error).message}` }] }
  }
}

function parse(text: string, schema: 'json' | 'core') {
  const lineCounter = new LineCounter()
  const document = parseDocument(text, { lineCounter, schema, prettyErrors: true })
  return { document, lineAt: (offset: number) => Math.max(1, lineCounter.linePos(offset).line) }
}

/** Where the text says what `path` leads to; where it does not, the nearest thing around it. */
function offsetOf(document: Document.Parsed, path: readonly PropertyKey[]): number {
  let node: unknown = document.contents
  let offset = document.contents?.range[0] ?? 0
  for (const step of path) {
    if (isAlias(node)) node = node.resolve(document)
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(step))
      if (!pair || !isScalar(pair.key)) break
      offset = pair.key.range?.[0] ?? offset
      node = pair.value
    } else if (isSeq(node)) {
      const item: unknown = node.items[Number(step)]
      if (!isScalar(item) && !isMap(item) && !isSeq(item)) break
      offset = item.range?.[0] ?? offset
      node = item
    } else {
      break
    }
  }
  return offset
}

/** A model, or what has to be changed first. */
export type DescribedText =
  | { description: ModelDescription; faults?: undefined }
  | { description?: undefined; faults: Fault[] }

/** One thing that is wrong with a file. */
export interface Fault {
  /** Counted from 1; not always known. */
  line?: number
  reason: string
}

type ReadText = { value: unknown; lineOf(path: readonly PropertyKey[]): number } | { faults: Fault[] }
