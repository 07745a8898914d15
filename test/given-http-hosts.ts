import { onTestFinished } from 'vitest'
import { type Receiver, startReceiver } from './harness/receiver.ts'

/** A host of the kind `http` that answers as it is told, and closes with the test. */
export async function givenHttpHost(...how: Parameters<typeof startReceiver>): Promise<Receiver> {
  const host = await startReceiver(...how)
  onTestFinished(() => host.close())
  return host
}

/** An answer with JSON. */
export function answering(status: number, body: unknown, headers: Record<string, string> = {}) {
  return {
    status,
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json', ...headers },
  }
}

/** It is away, and may be asked again very soon. */
export const away = answering(503, { error: 'Nobody is here' }, { 'retry-after-ms': '20' })
