import { hkdfSync } from 'node:crypto'

/**
 * A key of its own for each purpose, all from the one MASTER_KEY (HKDF-SHA256, 32 bytes), so that a leak of one says
 * nothing about the others and the operator keeps a single secret.
 */
export function deriveKey(masterKey: string, purpose: KeyPurpose): Buffer {
  return Buffer.from(hkdfSync('sha256', masterKey, '', `millrace/${purpose}`, 32))
}

/**
 * The same for the current master key and the one before it, while a rotation is under way: the first writes, all read.
 */
export function deriveKeys(current: string, previous: string | undefined, purpose: KeyPurpose): Buffer[] {
  return [current, ...(previous === undefined ? [] : [previous])].map((key) => deriveKey(key, purpose))
}

/** Every purpose in use. A purpose, once released, keeps its name: the derived key depends on it. */
export type KeyPurpose = 'api-key-pepper' | 'file-urls' | 'sealing' | 'callbacks'
