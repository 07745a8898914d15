import { createHmac, randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'

/** A new API key: `sk-mr-`, 256 random bits as 43 base62 characters, and a checksum of 6. Shown once, never stored. */
export function newApiKey(): string {
  const secret = prefix + base62(BigInt(`0x${randomBytes(32).toString('hex')}`), 43)
  return secret + checksum(secret)
}

/** Whether a text can be one of our keys at all. A typo or a stranger's key is turned away without a query. */
export function wellFormed(key: string): boolean {
  return shape.test(key) && checksum(key.slice(0, -6)) === key.slice(-6)
}

/** What is stored in place of the key. Without the pepper, which the database never sees, it cannot be tried offline. */
export function digest(key: string, pepper: Buffer): Buffer {
  return createHmac('sha256', pepper).update(key).digest()
}

const prefix = 'sk-mr-'
const shape = /^sk-mr-[0-9A-Za-z]{49}$/
const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/** Against typing errors and for secret scanners, not against forgery: CRC-32, as in GitHub's tokens. */
function checksum(text: string): string {
  return base62(BigInt(crc32(text)), 6)
}

function base62(value: bigint, length: number): string {
  let text = ''
  for (let rest = value; rest > 0n; rest /= 62n) text = alphabet.charAt(Number(rest % 62n)) + text
  return text.padStart(length, '0')
}
