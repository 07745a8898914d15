import { createHmac, timingSafeEqual } from 'node:crypto'
import { databaseNow } from '@millrace/database/clock'

/**
 * URLs that open one file for a while, for whoever holds them: `{publicUrl}/files/file_…/name.png?expires=…&signature=…`.
 * The name is for people and for programs that look at extensions; it is not signed.
 */
export function createFileUrls({ publicUrl, key, previousKeys = [] }: FileUrlOptions): FileUrls {
  const base = `${publicUrl.replace(/\/+$/, '')}/files/`

  function signatureOf(fileId: string, expires: string, by = key): Buffer {
    return createHmac('sha256', by).update(`${fileId}\n${expires}`).digest()
  }

  function sign(fileId: string, name: string, ttlSeconds: number): string {
    const expires = String(Math.floor(databaseNow() / 1000) + ttlSeconds)
    const signature = signatureOf(fileId, expires).toString('base64url')
    return `${base}${fileId}/${encodeURIComponent(name)}?expires=${expires}&signature=${signature}`
  }

  function verify(fileId: string, expires: string, signature: string): boolean {
    return !isOver(expires) && isSigned(fileId, expires, signature)
  }

  function hasExpired(fileId: string, expires: string, signature: string): boolean {
    return isOver(expires) && isSigned(fileId, expires, signature)
  }

  function isSigned(fileId: string, expires: string, signature: string): boolean {
    if (!/^\d{1,12}$/.test(expires)) return false
    const given = Buffer.from(signature, 'base64url')
    return [key, ...previousKeys].some((by) => {
      const wanted = signatureOf(fileId, expires, by)
      return given.length === wanted.length && timingSafeEqual(given, wanted)
    })
  }

  function ours(text: string): string | undefined {
    const parts = partsOf(text)
    return parts && verify(...parts) ? parts[0] : undefined
  }

  function wasOurs(text: string): boolean {
    const parts = partsOf(text)
    return parts !== undefined && hasExpired(...parts)
  }

  function partsOf(text: string): [fileId: string, expires: string, signature: string] | undefined {
    const url = URL.parse(text)
    const root = new URL(base)
    if (!url || url.origin !== root.origin || !url.pathname.startsWith(root.pathname)) return undefined
    const [fileId = ''] = url.pathname.slice(root.pathname.length).split('/')
    const { expires = '', signature = '' } = Object.fromEntries(url.searchParams)
    return [fileId, expires, signature]
  }

  return { sign, verify, hasExpired, ours, wasOurs }
}

function isOver(expires: string): boolean {
  return Number(expires) <= databaseNow() / 1000
}

/** `key` signs; what `previousKeys` signed is still good. */
export type FileUrlOptions = { publicUrl: string; key: Buffer; previousKeys?: readonly Buffer[] }

export type FileUrls = {
  sign(fileId: string, name: string, ttlSeconds: number): string
  /** `expires` and `signature` as they stand in the query. */
  verify(fileId: string, expires: string, signature: string): boolean
  /** Whether it was signed here, and its time is over. */
  hasExpired(fileId: string, expires: string, signature: string): boolean
  /** The file that a URL of ours opens, so that it is read from storage instead of being fetched. */
  ours(url: string): string | undefined
  /** Whether a URL of ours opened a file until its time was over. */
  wasOurs(url: string): boolean
}
