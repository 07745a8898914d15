import { randomBytes } from 'node:crypto'
import { seal, unseal } from '@millrace/keys/seal'
import { expect, test } from 'vitest'

const key = randomBytes(32)

test.each(['', 'whsec_secret', 'ключ 🔑', 'x'.repeat(100_000)])('what was sealed opens again', (plain) => {
  expect(unseal(seal(plain, key), key)).toBe(plain)
})

test('the same secret never looks the same twice, and is not to be seen', () => {
  const sealed = seal('whsec_secret', key)
  expect(sealed.equals(seal('whsec_secret', key))).toBe(false)
  expect(sealed.includes('whsec_secret')).toBe(false)
})

test('a sealed value with any one byte changed does not open', () => {
  const sealed = seal('whsec_secret', key)
  for (let at = 0; at < sealed.length; at += 1) {
    const changed = Buffer.from(sealed)
    changed.writeUInt8(changed.readUInt8(at) ^ 1, at)
    expect(() => unseal(changed, key), `byte ${at}`).toThrow(/does not open|not a sealed value/)
  }
})

test('another key does not open it, and the message says where to look', () => {
  expect(() => unseal(seal('whsec_secret', key), randomBytes(32))).toThrow('MASTER_KEY')
})

test('a cut value does not open', () => {
  const sealed = seal('whsec_secret', key)
  for (let length = 0; length < sealed.length; length += 1) {
    expect(() => unseal(sealed.subarray(0, length), key), `${length} bytes`).toThrow()
  }
})
