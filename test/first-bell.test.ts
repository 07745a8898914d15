import { afterEach, expect, test } from 'vitest'
import { type Service, startService } from './harness/service.ts'

let service: Service | undefined
afterEach(() => service?.stop())

test.each(['redis', 'postgres'] as const)(
  'the first prediction after a start begins by its own bell (%s)',
  async (queue) => {
    // With no dispatcher there is no sweep that would find a lost bell; with one slot every claim is in another's way.
    service = await startService({ queue, dispatchers: 0, env: { AWAIT_SECONDS: '10', CONCURRENCY: '1' } })

    const reply = await fetch(`${service.url}/v1/predictions`, {
      method: 'POST',
      headers: { 'x-api-key': service.apiKey, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'upscale', input: { image: pixel }, await: true }),
    })

    expect(await reply.json()).toMatchObject({ status: 'succeeded' })
  },
  60_000,
)

const pixel =
  'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='
