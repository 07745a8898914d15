import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { extname, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseDataUrl } from '@millrace/media/data-url'
import { extensionOf } from '@millrace/media/file-types'
import type { ModelDescription } from '@millrace/models/description'
import { fileFields, replaceFiles, takesFiles } from '@millrace/models/file-fields'
import { nearest } from '@millrace/models/nearest'
import { fetchFile } from '@millrace/outbound/fetch-file'
import type { Guard } from '@millrace/outbound/guard'
import { errorText } from '@millrace/providers/error-text'
import type { Provider } from '@millrace/providers/provider'

/**
 * The input that somebody typed as `field=value`: the model's schema says what of it is a number or a list. `@path`
 * stands for a file where the field takes one, and else for the text that is in it.
 */
export async function typedInput(
  given: readonly string[],
  { input_schema }: ModelDescription,
  folder: string,
): Promise<Record<string, unknown>> {
  const fields = (input_schema.properties ?? {}) as Record<string, Record<string, unknown> | undefined>
  const input: Record<string, unknown> = {}
  for (const pair of given) {
    const [, name = '', text = ''] = /^([^=]+)=(.*)$/s.exec(pair) ?? []
    if (name === '') throw new Error(`-i takes field=value, not "${pair}"`)
    const field = fields[name] ?? {}
    const value = await typedValue(name, text, field, folder)
    const isItem = field.type === 'array' && !Array.isArray(value)
    input[name] = isItem ? [...((input[name] as unknown[] | undefined) ?? []), value] : value
  }
  return input
}

/** Those of the given fields that the model's schema does not know, each with the name that was probably meant. */
export function strayFields(input: object, { input_schema }: ModelDescription): StrayField[] {
  const known = Object.keys(input_schema.properties ?? {})
  // A schema that says what others may be takes them on purpose; one that is made of parts may name them there.
  const isOpen = ['additionalProperties', 'patternProperties', 'allOf', 'anyOf', 'oneOf', '$ref', 'if'].some(
    (word) => word in input_schema,
  )
  if (isOpen) return []
  return Object.keys(input)
    .filter((name) => !known.includes(name))
    .map((name) => ({ name, meant: nearest(name, known) }))
}

async function typedValue(
  name: string,
  text: string,
  field: Record<string, unknown>,
  folder: string,
): Promise<unknown> {
  if (text.startsWith('@')) {
    const path = resolve(folder, text.slice(1))
    await assertFile(name, path)
    return takesFiles(field) ? pathToFileURL(path).href : readFile(path, 'utf8')
  }
  if (field.type === 'string') return text
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

async function assertFile(name: string, path: string): Promise<void> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => error)
  if (found instanceof Error) {
    throw new Error(
      found.code === 'ENOENT'
        ? `${name}: there is no file ${path}`
        : `${name}: ${path} cannot be read: ${found.message}`,
    )
  }
  if (found.isDirectory()) throw new Error(`${name}: ${path} is a folder, and not a file`)
}

/** The input with its files as the provider wants them. */
export async function bringFiles(
  input: Record<string, unknown>,
  { input_schema }: ModelDescription,
  wants: Provider['wants'],
  bringing: Bringing,
): Promise<Record<string, unknown>> {
  const replacements = await Promise.all(
    fileFields(input_schema, input).map(async ({ path, url }, index) => ({
      path,
      value: await bring(url, index, wants, bringing).catch((error: unknown) => {
        throw new Error(`${path.join('.')}: ${errorText(error).detail}`)
      }),
    })),
  )
  return replaceFiles(input, replacements)
}

async function bring(
  url: string,
  index: number,
  wants: Provider['wants'],
  { workDir, guard, maxFileBytes, signal }: Bringing,
): Promise<string> {
  if (url.startsWith('file:')) return fileURLToPath(url)
  if (wants === 'addresses') return url
  const folder = join(workDir, 'input')
  await mkdir(folder, { recursive: true })
  const data = parseDataUrl(url)
  const extension = data ? extensionOf(data.contentType) : extname(URL.parse(url)?.pathname ?? '')
  const path = join(folder, `${index}${extension}`)
  if (data) await writeFile(path, data.bytes)
  else await fetchFile(guard, url, { maxBytes: maxFileBytes, timeoutMs: 120_000, signal }, path)
  return path
}

interface StrayField {
  name: string
  meant: string | undefined
}

interface Bringing {
  workDir: string
  guard: Guard
  maxFileBytes: number
  signal: AbortSignal
}
