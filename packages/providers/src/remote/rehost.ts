import { randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { dataUrlOf, isDataUrl, parseDataUrl } from '@millrace/media/data-url'
import { anyBytes, extensionOf, typeOfName } from '@millrace/media/file-types'
import type { FileValue } from '@millrace/models/define-model'
import { byteLimit, TooLargeError } from '@millrace/outbound/byte-limit'
import { FetchFileError, fetchFile } from '@millrace/outbound/fetch-file'
import { createGuard, type Guard } from '@millrace/outbound/guard'
import { Failed, Unavailable } from './faults.ts'
import { homeGuard, homesOf } from './home-guard.ts'

/**
 * Brings files that a host names in its output into the run's work folder, so that they live as long as this service
 * says and not its host. A host's own address may be inside; what else it names is fetched past the guard only, also
 * when its own address leads there.
 */
export function createRehost(options: RehostOptions): Rehost {
  const { workDir, signal, settings, maxFileBytes = 256 * 1024 * 1024 } = options
  const others = options.guard ?? createGuard({ allow: [], loopback: false })
  const guard = homeGuard(homesOf(settings), others)
  const headers = headersOf(settings)
  let files = 0

  /** Where a file may be written: of its name only the extension is used. */
  async function newPath(name: string): Promise<string> {
    await mkdir(workDir, { recursive: true })
    return join(workDir, `${randomUUID()}${safeExtension(name)}`)
  }

  async function save(bytes: Uint8Array, name: string, contentType?: string): Promise<FileValue> {
    if (bytes.length > maxFileBytes) throw tooLarge(name, maxFileBytes)
    const path = await newPath(name)
    await writeFile(path, bytes)
    return { $file: path, name, ...(contentType ? { contentType } : {}) }
  }

  async function saveStream(chunks: AsyncIterable<Uint8Array>, name: string): Promise<FileValue> {
    const path = await newPath(name)
    await pipeline(chunks, byteLimit(maxFileBytes), createWriteStream(path)).catch((error: unknown) => {
      throw error instanceof TooLargeError ? tooLarge(name, maxFileBytes) : error
    })
    return { $file: path, name }
  }

  async function fetched(url: string, name?: string): Promise<FileValue> {
    const path = await newPath(URL.parse(url)?.pathname ?? '')
    try {
      const limits = { maxBytes: maxFileBytes, timeoutMs: fetchMs, signal, headersFor }
      const got = await fetchFile(guard, url, limits, path)
      const [contentType = ''] = got.contentType.split(';')
      const ending = extname(got.name) === '' ? extensionOf(contentType) : ''
      return { $file: path, name: name ?? `${got.name}${ending}`, contentType }
    } catch (error) {
      if (!(error instanceof FetchFileError)) throw error
      if (error.reason === 'refused' || error.reason === 'too-large') {
        throw new Failed(`A file of the output cannot be kept: ${error.message}.`, 'INVALID_OUTPUT')
      }
      const reason = `A file of the output could not be fetched: ${error.message}.`
      // The work is done, only its fruit is out of reach.
      throw new Unavailable(reason, { uncertain: true }, error)
    }
  }

  async function inputFile(url: string): Promise<string> {
    const path = await newPath(URL.parse(url)?.pathname ?? '')
    try {
      await fetchFile(others, url, { maxBytes: maxFileBytes, timeoutMs: fetchMs, signal }, path)
      return path
    } catch (error) {
      if (!(error instanceof FetchFileError)) throw error
      throw new Failed(`A file of the input could not be fetched: ${error.message}.`)
    }
  }

  /** A host's key is for the host alone. */
  function headersFor(url: URL): Record<string, string> {
    return guard.isHome(url) ? headers : {}
  }

  async function file(address: string, name?: string): Promise<FileValue> {
    files += 1
    if (files > maxFiles)
      throw new Failed(`The output has more than ${maxFiles} files, too many to keep.`, 'INVALID_OUTPUT')
    if (!isDataUrl(address)) return fetched(address, name)
    const data = parseDataUrl(address)
    if (!data) throw new Failed('A data URL of the output cannot be read.', 'INVALID_OUTPUT')
    const [contentType = ''] = data.contentType.split(';')
    return save(data.bytes, name ?? `output${extensionOf(contentType)}`, contentType)
  }

  /** One after the other, so that files are in the order of the output. What is too deep is refused elsewhere. */
  async function all(value: unknown, depth = 0): Promise<unknown> {
    if (typeof value === 'string') return isAddress(value) ? file(value) : value
    if (typeof value !== 'object' || value === null || depth > deepest) return value
    if (Array.isArray(value)) {
      const items: unknown[] = []
      for (const item of value) items.push(await all(item, depth + 1))
      return items
    }
    const entries: [string, unknown][] = []
    for (const [key, item] of Object.entries(value)) entries.push([key, await all(item, depth + 1)])
    return Object.fromEntries(entries)
  }

  return {
    file,
    all: async (value) => (namesFiles(value) ? all(value) : value),
    save,
    saveStream,
    inputFile,
    guard,
  }
}

function tooLarge(name: string, most: number): Failed {
  return new Failed(
    `A file of the output cannot be kept: ${name} is larger than ${most} bytes.`,
    'INVALID_OUTPUT',
  )
}

/** A file of an input as a host takes it that can fetch nothing from here: the URL itself, or the bytes in a data URL. */
export async function addressOf(value: string): Promise<string> {
  if (/^(https?|data):/i.test(value)) return value
  return dataUrlOf({ contentType: typeOfName(value) ?? anyBytes, bytes: await readFile(value) })
}

/** Whether a text is nothing but an address of a file. */
export function isAddress(text: string): boolean {
  return (
    /^data:[\w.+-]+\/[\w.+-]+[^,]*,/i.test(text) || (/^https?:\/\/\S+$/i.test(text) && URL.canParse(text))
  )
}

/** Asked first, as most answers name none and may have millions of values. What is too deep is refused elsewhere. */
function namesFiles(value: unknown, depth = 0): boolean {
  if (typeof value === 'string') return isAddress(value)
  if (typeof value !== 'object' || value === null || depth > deepest) return false
  const items: unknown[] = Array.isArray(value) ? value : Object.values(value)
  return items.some((item) => namesFiles(item, depth + 1))
}

function headersOf(settings: object): Record<string, string> {
  const headers: unknown = 'headers' in settings ? settings.headers : {}
  const entries = typeof headers === 'object' && headers !== null ? Object.entries(headers) : []
  return Object.fromEntries(entries.filter(([name]) => !/^(content-type|accept)$/i.test(name)))
}

function safeExtension(name: string): string {
  const extension = extname(name)
  return /^\.\w{1,10}$/.test(extension) ? extension.toLowerCase() : ''
}

const fetchMs = 600_000

const maxFiles = 1000

/** An output that is deeper is refused. */
const deepest = 64

export interface Rehost {
  /** A file from a URL or a data URL. Throws Failed or Unavailable when it cannot be had. */
  file(address: string, name?: string): Promise<FileValue>
  /** A value in which each string that is an address of a file is that file. */
  all(value: unknown): Promise<unknown>
  /** The path of a file that a client named, for hosts that take bytes. The host's own addresses are not trusted here. */
  inputFile(url: string): Promise<string>
  /** Judges what else the host names: its own addresses pass, and those that anybody may ask. */
  guard: Guard
  /** A file from bytes. */
  save(bytes: Uint8Array, name: string, contentType?: string): Promise<FileValue>
  /** A file from bytes that are still arriving; what they throw is thrown. */
  saveStream(chunks: AsyncIterable<Uint8Array>, name: string): Promise<FileValue>
}

interface RehostOptions {
  workDir: string
  signal: AbortSignal
  /** Of the host: files at its own addresses are fetched wherever these are, with the `headers` it is asked with. */
  settings: object
  guard?: Guard
  maxFileBytes?: number
}
