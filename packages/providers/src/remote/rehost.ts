import { randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { extname, join } from 'node:path'
import type { FileValue } from '@millrace/models/define-model'
import { FetchFileError, fetchFile } from '@millrace/outbound/fetch-file'
import { createGuard, type Guard } from '@millrace/outbound/guard'
import { Failed, Unavailable } from './faults.ts'

/**
 * Brings files that a host names in its output into the run's work folder, so that they live as long as this service
 * says and not its host. A host's own address may be inside; what else it names is fetched past the guard only.
 */
export function createRehost(options: RehostOptions): Rehost {
  const { workDir, signal, settings, maxFileBytes = 256 * 1024 * 1024 } = options
  const homes = Object.values(settings).flatMap((value) => originOf(value))
  const trusting = createGuard({ allow: ['0.0.0.0/0', '::/0'], loopback: true })

  async function save(bytes: Uint8Array, name: string, contentType?: string): Promise<FileValue> {
    await mkdir(workDir, { recursive: true })
    const path = join(workDir, `${randomUUID()}${safeExtension(name)}`)
    await writeFile(path, bytes)
    return { $file: path, name, ...(contentType ? { contentType } : {}) }
  }

  async function fetched(url: string, name?: string): Promise<FileValue> {
    await mkdir(workDir, { recursive: true })
    const path = join(workDir, `${randomUUID()}${safeExtension(URL.parse(url)?.pathname ?? '')}`)
    const guard = homes.includes(new URL(url).origin)
      ? trusting
      : (options.guard ?? createGuard({ allow: [], loopback: false }))
    try {
      const got = await fetchFile(guard, url, { maxBytes: maxFileBytes, timeoutMs: fetchMs, signal }, path)
      return { $file: path, name: name ?? got.name, contentType: got.contentType.split(';')[0] ?? '' }
    } catch (error) {
      if (!(error instanceof FetchFileError)) throw error
      if (error.reason === 'refused' || error.reason === 'too-large') {
        throw new Failed(`A file of the output cannot be kept: ${error.message}`, 'INVALID_OUTPUT')
      }
      throw new Unavailable(`A file of the output could not be fetched: ${error.message}`, {}, error)
    }
  }

  async function file(address: string, name?: string): Promise<FileValue> {
    const data = /^data:([^;,]*)[^,]*?(;base64)?,/i.exec(address)
    if (!data) return fetched(address, name)
    const [start, type = '', base64] = data
    const rest = address.slice(start.length)
    const bytes = base64 ? Buffer.from(rest, 'base64') : Buffer.from(decodeURIComponent(rest))
    const shown = name ?? `output${extensionFor(type)}`
    if (bytes.length > maxFileBytes)
      throw new Failed(`The output file ${shown} is too large.`, 'INVALID_OUTPUT')
    return save(bytes, shown, type || undefined)
  }

  /** One after the other, so that files are in the order of the output. */
  async function all(value: unknown): Promise<unknown> {
    if (typeof value === 'string') return isAddress(value) ? file(value) : value
    if (Array.isArray(value)) {
      const items: unknown[] = []
      for (const item of value) items.push(await all(item))
      return items
    }
    if (typeof value !== 'object' || value === null) return value
    const entries: [string, unknown][] = []
    for (const [key, item] of Object.entries(value)) entries.push([key, await all(item)])
    return Object.fromEntries(entries)
  }

  return { file, all, save }
}

/** A file of an input as a host takes it that can fetch nothing from here: the URL itself, or the bytes in a data URL. */
export async function addressOf(value: string, contentType = 'application/octet-stream'): Promise<string> {
  if (/^(https?|data):/i.test(value)) return value
  const chunks: Buffer[] = []
  for await (const chunk of createReadStream(value)) chunks.push(chunk)
  return `data:${contentTypeOf(value, contentType)};base64,${Buffer.concat(chunks).toString('base64')}`
}

/** What the extension of a file says of its type. */
export function contentTypeOf(path: string, otherwise = 'application/octet-stream'): string {
  return contentTypes[extname(path).toLowerCase()] ?? otherwise
}

/** Whether a text is nothing but an address of a file. */
export function isAddress(text: string): boolean {
  return (
    /^data:[\w.+-]+\/[\w.+-]+[^,]*,/i.test(text) || (/^https?:\/\/\S+$/i.test(text) && URL.canParse(text))
  )
}

function originOf(value: unknown): string[] {
  const url = typeof value === 'string' ? URL.parse(value) : null
  return url && url.origin !== 'null' ? [url.origin] : []
}

function safeExtension(name: string): string {
  const extension = extname(name)
  return /^\.\w{1,10}$/.test(extension) ? extension.toLowerCase() : ''
}

function extensionFor(type: string): string {
  const known = Object.entries(contentTypes).find(([, one]) => one === type.toLowerCase())
  return known?.[0] ?? ''
}

const contentTypes: Record<string, string> = {
  '.png': 'image/png',
  '.jpg': 'image/jpeg',
  '.jpeg': 'image/jpeg',
  '.webp': 'image/webp',
  '.gif': 'image/gif',
  '.svg': 'image/svg+xml',
  '.mp4': 'video/mp4',
  '.webm': 'video/webm',
  '.mp3': 'audio/mpeg',
  '.wav': 'audio/wav',
  '.flac': 'audio/flac',
  '.ogg': 'audio/ogg',
  '.pdf': 'application/pdf',
  '.txt': 'text/plain',
  '.json': 'application/json',
}

const fetchMs = 600_000

export interface Rehost {
  /** A file from a URL or a data URL. Throws Failed or Unavailable when it cannot be had. */
  file(address: string, name?: string): Promise<FileValue>
  /** A value in which each string that is an address of a file is that file. */
  all(value: unknown): Promise<unknown>
  /** A file from bytes. */
  save(bytes: Uint8Array, name: string, contentType?: string): Promise<FileValue>
}

interface RehostOptions {
  workDir: string
  signal: AbortSignal
  /** Of the host: files at its own addresses are fetched wherever these are. */
  settings: object
  guard?: Guard
  maxFileBytes?: number
}
