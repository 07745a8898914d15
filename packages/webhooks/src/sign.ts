import { createHmac, createSecretKey, randomBytes } from 'node:crypto'

/** A new signing secret: `whsec_` and 32 random bytes in base64, as Standard Webhooks wants it. */
export function newSecret(): string {
  return prefix + randomBytes(32).toString('base64')
}

/**
 * The headers that let a receiver check a delivery. The first secret is the current one; while it is being rotated the
 * retiring ones follow, and a receiver that knows any of them is satisfied.
 */
export function sign({ id, timestamp, body, secrets }: Message): SignatureHeaders {
  const [current] = secrets
  if (current === undefined) throw new Error('A webhook cannot be signed without a secret')
  return {
    'webhook-id': id,
    'webhook-timestamp': String(timestamp),
    'webhook-signature': secrets.map((secret) => standardSignature(secret, id, timestamp, body)).join(' '),
    'x-skytells-signature': createHmac('sha256', current).update(body).digest('hex'),
  }
}

const prefix = 'whsec_'

function standardSignature(secret: string, id: string, timestamp: number, body: string | Uint8Array): string {
  if (!secret.startsWith(prefix)) throw new Error(`A webhook secret starts with ${prefix}`)
  // As a key object: to recognise bytes as a key takes Node three times as long as to sign with it.
  const key = createSecretKey(secret.slice(prefix.length), 'base64')
  return `v1,${createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest('base64')}`
}

export type Message = {
  id: string
  /** Unix seconds of this attempt. */
  timestamp: number
  /** The exact bytes that are sent. */
  body: string | Uint8Array
  secrets: readonly string[]
}

export type SignatureHeaders = {
  'webhook-id': string
  'webhook-timestamp': string
  'webhook-signature': string
  'x-skytells-signature': string
}
