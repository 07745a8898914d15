import type { FileValue } from '@millrace/models/define-model'
import type { ModelDescription } from '@millrace/models/description'
import { takesFiles } from '@millrace/models/file-fields'
import { isFileValue } from '../output-parts.ts'
import { isAddress, type Rehost } from './rehost.ts'

/**
 * The output of a cloud in the shape that models here answer: an array of files from what makes media, one text from
 * what writes, else the JSON as it came. A description that states its output as an object gets it whole. The files
 * that it names are brought here.
 */
export async function shapeOutput(
  raw: unknown,
  { description, rehost }: { description: ModelDescription; rehost: Rehost },
): Promise<unknown> {
  const { type, output_schema: schema } = description
  const stated = schema.type
  const value = await brought(raw, rehost, mayNameFiles(description))
  if (stated === 'object') return value
  if (writes.has(type) && stated !== 'array') return textOf(value) ?? value
  if (!media.has(type)) return value
  const files = filesIn(value)
  if (stated === 'string') return files.length === 1 ? files[0] : value
  return files.length > 0 ? files : value
}

/** Whether its text comes in parts that a client may read as they come. */
export function writesText({ type, output_schema }: ModelDescription): boolean {
  return writes.has(type) && output_schema.type !== 'array' && output_schema.type !== 'object'
}

/** The parts of a text that a cloud answers as a list; undefined where it is no such list. */
export function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  if (Array.isArray(value))
    return value.every((part) => typeof part === 'string') ? value.join('') : undefined
  if (typeof value !== 'object' || value === null || isFileValue(value)) return undefined
  const { output, text } = value as Record<string, unknown>
  return [output, text].find((member) => typeof member === 'string')
}

/** A link in a text or a search result is no file of the output. What says so, or makes media, names files. */
function mayNameFiles({ type, output_schema }: ModelDescription): boolean {
  return Object.keys(output_schema).some((key) => key !== 'title')
    ? takesFiles(output_schema)
    : media.has(type) || type === 'multimodal'
}

/** One after the other, so that files are in the order of the output. */
async function brought(value: unknown, rehost: Rehost, links: boolean): Promise<unknown> {
  if (typeof value === 'string') return links && isAddress(value) ? rehost.file(value) : value
  if (Array.isArray(value)) {
    const items: unknown[] = []
    for (const item of value) items.push(await brought(item, rehost, links))
    return items
  }
  if (typeof value !== 'object' || value === null) return value
  if (isFileObject(value)) return { ...value, url: await fileOf(value, rehost) }
  const entries: [string, unknown][] = []
  for (const [key, item] of Object.entries(value)) entries.push([key, await brought(item, rehost, links)])
  return Object.fromEntries(entries)
}

async function fileOf({ url, file_name, content_type }: FileObject, rehost: Rehost): Promise<FileValue> {
  const file = await rehost.file(url, file_name ?? undefined)
  const said = file.contentType && file.contentType !== 'application/octet-stream'
  return !said && content_type ? { ...file, contentType: content_type } : file
}

/** What fal answers for a file: `{url, content_type, file_name, file_size, width, height}`, any but the first absent. */
function isFileObject(value: object): value is FileObject {
  const { url, content_type, file_name } = value as Record<string, unknown>
  return (
    typeof url === 'string' &&
    isAddress(url) &&
    (typeof content_type === 'string' || typeof file_name === 'string')
  )
}

function filesIn(value: unknown): FileValue[] {
  if (isFileValue(value)) return [value]
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(filesIn) : []
}

const media: ReadonlySet<string> = new Set(['image', 'video', 'audio', 'music', 'document'])
const writes: ReadonlySet<string> = new Set(['text', 'code', 'multimodal'])

interface FileObject {
  url: string
  content_type?: string | null
  file_name?: string | null
}
