import { createCipheriv, createDecipheriv, createSecretKey, randomBytes } from 'node:crypto'

/** Encrypts a secret that has to be read again (AES-256-GCM). Layout: version, nonce (12), tag (16), ciphertext. */
export function seal(plain: string, key: Buffer): Buffer {
  const nonce = randomBytes(nonceBytes)
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes }).setAAD(version)
  const ciphertext = Buffer.concat([cipher.update(plain, 'utf8'), cipher.final()])
  return Buffer.concat([version, nonce, cipher.getAuthTag(), ciphertext])
}

/** Reads what seal wrote under one of these keys. Throws when a byte was changed or the key is another one. */
export function unseal(sealed: Buffer, keys: Buffer | readonly Buffer[]): string {
  if (sealed.length < headerBytes || !sealed.subarray(0, 1).equals(version)) {
    throw new Error('This is not a sealed value of a version this release can read')
  }
  let failure: unknown
  for (const key of [keys].flat()) {
    try {
      return open(sealed, key)
    } catch (error) {
      failure = error
    }
  }
  throw new Error('A sealed value does not open: was it written under another MASTER_KEY?', {
    cause: failure,
  })
}

function open(sealed: Buffer, key: Buffer): string {
  const nonce = sealed.subarray(1, 1 + nonceBytes)
  const decipher = createDecipheriv('aes-256-gcm', createSecretKey(key), nonce, { authTagLength: tagBytes })
  decipher.setAAD(version).setAuthTag(sealed.subarray(1 + nonceBytes, headerBytes))
  const start = decipher.update(sealed.subarray(headerBytes))
  return Buffer.concat([start, decipher.final()]).toString('utf8')
}

const version = Buffer.from([1])
const nonceBytes = 12
const tagBytes = 16
const headerBytes = version.length + nonceBytes + tagBytes
