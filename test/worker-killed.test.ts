import { afterEach, expect, test } from 'vitest'
import { startReceiver } from './harness/receiver.ts'
import { type Service, startService } from './harness/service.ts'
import { until } from './harness/wait.ts'

let service: Service | undefined
afterEach(() => service?.stop())

test.each(['redis', 'postgres'] as const)(
  'a prediction whose worker is killed succeeds on its second attempt (%s)',
  async (queue) => {
    service = await startService({ queue, workers: 0 })
    const { url, apiKey } = service
    const receiver = await startReceiver()
    const headers = { 'x-api-key': apiKey, 'content-type': 'application/json' }
    const first = await service.start('worker', { WORKER_NAME: 'first' })
    const created = await fetch(`${url}/v1/predictions`, {
      method: 'POST',
      headers,
      body: JSON.stringify({
        model: 'echo',
        input: { text: 'survive', delay_ms: 1_500 },
        webhook: receiver.url,
      }),
    })
    const { id } = (await created.json()) as { id: string }
    const read = async () => (await (await fetch(`${url}/v1/predictions/${id}`, { headers })).json()) as Shown
    await until(async () => (await read()).status === 'processing', { what: 'the run to begin' })

    await first.kill()
    await service.start('worker', { WORKER_NAME: 'second' })

    const ended = await until(async () => (await read()).completed_at !== null && read(), {
      within: 20_000,
      what: 'the end',
    })
    expect(ended.status).toBe('succeeded')
    expect(ended.output).toEqual({ text: 'survive' })
    expect(ended.metadata.attempts).toBe(2)
    const received = await receiver.received(2)
    expect(received.map(({ headers: sent }) => sent['webhook-event'])).toEqual([
      'prediction.started',
      'prediction.succeeded',
    ])
    await receiver.close()
  },
  60_000,
)

interface Shown {
  status: string
  output: unknown
  completed_at: string | null
  metadata: { attempts: number }
}
