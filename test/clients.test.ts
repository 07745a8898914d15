import { createClient } from 'skytells'
import { Webhook } from 'standardwebhooks'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ApiCaller, callerOf } from './api-caller.ts'
import { type Receiver, startReceiver } from './harness/receiver.ts'
import { type Service, startService } from './harness/service.ts'
import { until } from './harness/wait.ts'

describe.each(['redis', 'postgres'] as const)('with the queue on %s', (queue) => {
  let service: Service
  let call: ApiCaller
  let receiver: Receiver
  let client: ReturnType<typeof createClient>
  beforeAll(async () => {
    ;[service, receiver] = await Promise.all([startService({ queue }), startReceiver()])
    call = callerOf(service.url, service.apiKey)
    client = createClient(service.apiKey, { baseUrl: `${service.url}/v1` })
  })
  afterAll(() => Promise.all([service.stop(), receiver.close()]))

  test('the skytells package lists models', async () => {
    expect(await client.listModels()).toContainEqual(
      expect.objectContaining({ namespace: 'echo', status: 'operational' }),
    )
  })

  test('it creates, polls until the end, and deletes', async () => {
    const { id, status } = await client.predict({ model: 'echo', input: { text: 'hi', delay_ms: 50 } })
    expect(status).toBe('pending')

    const ended = await until(
      async () => {
        const found = await client.getPrediction(id)
        return ['succeeded', 'failed', 'cancelled'].includes(found.status) && found
      },
      { within: 20_000, what: 'the end of the run' },
    )

    expect(ended).toMatchObject({ id, status: 'succeeded', output: { text: 'hi' } })
    expect(await client.streamPrediction(id)).toMatchObject({ id, status: 'succeeded' })
    expect(await client.deletePrediction(id)).toMatchObject({ id })
    await expect(client.getPrediction(id)).rejects.toMatchObject({
      errorId: 'PREDICTION_NOT_FOUND',
      httpStatus: 404,
    })
  })

  test('it waits with await', async () => {
    const made = await client.predict({ model: 'echo', input: { n: 1 }, await: true })
    expect(made).toMatchObject({ status: 'succeeded', output: { n: 1 } })
  })

  test('it cancels a run that takes long', async () => {
    const { id } = await client.predict({ model: 'echo', input: { delay_ms: 600_000 } })
    await until(async () => (await client.getPrediction(id)).status === 'processing', {
      within: 20_000,
      what: 'the run',
    })

    await client.cancelPrediction(id)

    await until(async () => (await client.getPrediction(id)).status === 'cancelled', {
      within: 20_000,
      what: 'its end',
    })
  })

  test('it reads our errors', async () => {
    const stranger = createClient('sk-mr-nobody', { baseUrl: `${service.url}/v1` })
    await expect(stranger.listModels()).rejects.toMatchObject({ errorId: 'UNAUTHORIZED', httpStatus: 401 })
    await expect(client.predict({ model: 'doodle', input: {} })).rejects.toMatchObject({
      errorId: 'INVALID_INPUT',
      httpStatus: 400,
      details: expect.stringContaining('input.prompt'),
    })
  })

  test('the standardwebhooks package verifies what a receiver gets', async () => {
    const { secret } = (await call('GET /v1/webhooks/default/secret')).body
    const { id } = await client.predict({
      model: 'echo',
      input: { text: 'signed' },
      webhook: { url: receiver.url, events: ['started', 'completed'] },
    })

    const received = await until(
      () => {
        const own = receiver.requests.filter(({ body }) => body.includes(id))
        return own.length === 2 && own
      },
      { within: 20_000, what: 'two webhooks' },
    )

    const events = received.map(({ body, headers }) =>
      new Webhook(secret).verify(body, headers as Record<string, string>),
    )
    expect(events).toMatchObject([
      { type: 'prediction.started', id, status: 'processing' },
      { type: 'prediction.succeeded', id, status: 'succeeded', data: { output: { text: 'signed' } } },
    ])
    expect(() =>
      new Webhook(secret).verify(`${received[0]?.body} `, received[0]?.headers as Record<string, string>),
    ).toThrow()
    await until(
      async () => {
        const { data } = (await call(`GET /v1/predictions/${id}/deliveries`)).body
        return data.every(({ state, attempts }: { state: string; attempts: { status_code: number }[] }) => {
          return state === 'delivered' && attempts[0]?.status_code === 200
        })
      },
      { what: 'both to be noted as delivered' },
    )
  })
})
