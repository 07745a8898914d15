import { createHmac, timingSafeEqual } from 'node:crypto'

/**
 * The address part under which the host of one attempt may report: 36 bytes in base64url, of which the last 16 are a
 * signature. Who holds it can say something of that attempt and nothing else, so it needs no key besides.
 */
export function callbackToken(key: Buffer, { id, attempt }: CallbackFence): string {
  const named = Buffer.alloc(namedBytes)
  named.write(id.replaceAll('-', ''), 'hex')
  named.writeUInt32BE(attempt, 16)
  return Buffer.concat([named, signatureOf(key, named)]).toString('base64url')
}

/** Whose attempt a token stands for; undefined for a text that was not signed by any of the keys. */
export function readCallbackToken(keys: readonly Buffer[], token: string): CallbackFence | undefined {
  const bytes = Buffer.from(token, 'base64url')
  // One spelling: base64url ignores what it does not know.
  if (bytes.length !== namedBytes + signatureBytes || bytes.toString('base64url') !== token) return undefined
  const named = bytes.subarray(0, namedBytes)
  const given = bytes.subarray(namedBytes)
  if (!keys.some((key) => timingSafeEqual(signatureOf(key, named), given))) return undefined
  const hex = named.toString('hex', 0, 16)
  const id = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join(
    '-',
  )
  return { id, attempt: named.readUInt32BE(16) }
}

function signatureOf(key: Buffer, named: Buffer): Buffer {
  return createHmac('sha256', key).update(named).digest().subarray(0, signatureBytes)
}

const namedBytes = 20
const signatureBytes = 16

/** One attempt at one prediction, by its uuid. */
export interface CallbackFence {
  id: string
  attempt: number
}
