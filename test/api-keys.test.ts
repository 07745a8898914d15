import { randomBytes } from 'node:crypto'
import { digest, newApiKey, wellFormed } from '@millrace/keys/api-key'
import { deriveKey } from '@millrace/keys/derive'
import { expect, test } from 'vitest'

const masterKey = 'a master key of more than thirty-two characters'

test('a new key has the documented shape and is well formed', () => {
  for (let n = 0; n < 200; n += 1) {
    const key = newApiKey()
    expect(key).toMatch(/^sk-mr-[0-9A-Za-z]{43}[0-9A-Za-z]{6}$/)
    expect(wellFormed(key)).toBe(true)
  }
})

test('no two keys are alike', () => {
  expect(new Set(Array.from({ length: 500 }, newApiKey)).size).toBe(500)
})

test('a key with any one character changed is malformed', () => {
  const key = newApiKey()
  for (let at = 0; at < key.length; at += 1) {
    const other = key[at] === 'x' ? 'y' : 'x'
    expect(wellFormed(key.slice(0, at) + other + key.slice(at + 1)), `character ${at}`).toBe(false)
  }
})

test.each([
  '',
  'sk-mr-',
  'sk-mr',
  'sk-proj-0123456789',
  `${newApiKey()} `,
  ` ${newApiKey()}`,
  `${newApiKey()}\n`,
  newApiKey().slice(0, -1),
])('a text that is not a key is malformed: %j', (text) => {
  expect(wellFormed(text)).toBe(false)
})

test('the digest depends on the key and on the pepper, and holds neither', () => {
  const key = newApiKey()
  const pepper = randomBytes(32)
  expect(digest(key, pepper)).toHaveLength(32)
  expect(digest(key, pepper)).toEqual(digest(key, pepper))
  expect(digest(key, pepper)).not.toEqual(digest(newApiKey(), pepper))
  expect(digest(key, pepper)).not.toEqual(digest(key, randomBytes(32)))
})

test('each purpose has a key of its own, the same in every process', () => {
  const sealing = deriveKey(masterKey, 'sealing')
  expect(sealing).toHaveLength(32)
  expect(sealing.toString('hex')).toBe('e90d670e9623685f79009e123769c696fb37d67e1b44b02e69d836652259398f')
  expect(deriveKey(masterKey, 'file-urls')).not.toEqual(sealing)
  expect(deriveKey(`${masterKey}.`, 'sealing')).not.toEqual(sealing)
})
