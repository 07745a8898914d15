import { randomBytes } from 'node:crypto'
import { createKeyRing, digestsOf } from '@millrace/accounts/api-keys'
import { deriveKey, deriveKeys } from '@millrace/keys/derive'
import { seal, unseal } from '@millrace/keys/seal'
import { createFileUrls } from '@millrace/storage/file-urls'
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

test('while the master key is being changed, what the one before it sealed, signed and digested is still good', () => {
  const [before, after] = ['the master key of last year, 32 long', 'the master key of this year, 32 long']
  const [newKey = Buffer.of(), ...oldKeys] = deriveKeys(after, before, 'file-urls')
  const urls = createFileUrls({ publicUrl: 'https://millrace.test', key: newKey, previousKeys: oldKeys })
  const old = createFileUrls({ publicUrl: 'https://millrace.test', key: deriveKey(before, 'file-urls') })
  const fileId = 'file_01h455vb4pex5vsknk084sn02q'

  expect(unseal(seal('secret', deriveKey(before, 'sealing')), deriveKeys(after, before, 'sealing'))).toBe(
    'secret',
  )
  expect(urls.ours(old.sign(fileId, 'a.png', 60))).toBe(fileId)
  expect(old.ours(urls.sign(fileId, 'a.png', 60))).toBeUndefined()
  expect(digestsOf(createKeyRing(after, before), 'sk-mr-x')).toEqual([
    ...digestsOf(createKeyRing(after), 'sk-mr-x'),
    ...digestsOf(createKeyRing(before), 'sk-mr-x'),
  ])
})
