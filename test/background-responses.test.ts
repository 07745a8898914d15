import OpenAI from 'openai'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { callerOf } from './api-caller.ts'
import { startReceiver } from './harness/receiver.ts'
import { type Service, startService } from './harness/service.ts'
import { until } from './harness/wait.ts'

/** One service with a worker, one without, for all tests that stop nothing. */
let busy: Given
let idle: Given
beforeAll(async () => {
  const [one, other] = await Promise.all([
    startService({ queue: 'redis' }),
    startService({ queue: 'redis', workers: 0, dispatchers: 0 }),
  ])
  busy = clientsOf(one)
  idle = clientsOf(other)
}, 60_000)
afterAll(() => Promise.all([busy, idle].map(({ service }) => service.stop())))

async function given(counts: { workers?: number } = {}): Promise<Given> {
  const service = await startService({ queue: 'redis', ...counts })
  onTestFinished(() => service.stop())
  return clientsOf(service)
}

function clientsOf(service: Service) {
  const openai = new OpenAI({ apiKey: service.apiKey, baseURL: `${service.url}/v1`, maxRetries: 0 })
  const untilStatus = (id: string, ...statuses: string[]) =>
    until(
      async () => {
        const response = await openai.responses.retrieve(id)
        return statuses.includes(response.status ?? '') && response
      },
      { what: `the response to be ${statuses.join(' or ')}`, within: 20_000 },
    )
  return { service, openai, untilStatus }
}

type Given = ReturnType<typeof clientsOf>

const asked = { model: 'parrot', background: true } as const

test('a background response is a prediction that a worker makes, with its webhooks, and goes on like any other', async () => {
  const { service, openai, untilStatus } = busy
  const receiver = await startReceiver()
  const first = await openai.responses.create({ model: 'parrot', input: 'one' })
  const begun = await openai.responses.create({
    ...asked,
    previous_response_id: first.id,
    input: 'two /think',
    webhook: receiver.url,
    tags: { of: 'mine' },
  } as OpenAI.Responses.ResponseCreateParamsNonStreaming)
  expect(['queued', 'in_progress']).toContain(begun.status)

  const done = await untilStatus(begun.id, 'completed')
  expect(done).toMatchObject({
    background: true,
    output_text: 'two',
    usage: { input_tokens: 4, output_tokens: 1 },
    previous_response_id: first.id,
  })
  expect(done.output.map(({ type }) => type).sort()).toEqual(['message', 'reasoning'])
  const received = await receiver.received(2)
  expect(received.map(({ headers }) => headers['webhook-event'])).toEqual([
    'prediction.started',
    'prediction.succeeded',
  ])
  const call = callerOf(service.url, service.apiKey)
  const prediction = await call(`GET /v1/predictions/${begun.id.replace('resp_', 'pred_')}`)
  expect(prediction.body).toMatchObject({ status: 'succeeded', metadata: { tags: { of: 'mine' } } })

  const next = await openai.responses.create({
    model: 'parrot',
    input: 'three',
    previous_response_id: done.id,
  })
  expect(next.usage?.input_tokens).toBe(6)

  const told = await eventsOf(openai.responses.retrieve(begun.id, { stream: true }))
  expect(told.at(-1)).toMatchObject({ type: 'response.completed', response: { output: done.output } })
  await openai.responses.delete(begun.id)
  await expect(openai.responses.retrieve(begun.id)).rejects.toMatchObject({ status: 404 })
  await receiver.close()
}, 60_000)

test('its stream goes on in another api after that of its client was stopped, with no gap and no repeat', async () => {
  const { service, openai } = await given()
  const words = Array.from({ length: 30 }, (_, n) => `w${n}`).join(' ')
  const stream = await openai.responses.create({ ...asked, input: `${words} /slow 60`, stream: true })
  const seen: OpenAI.Responses.ResponseStreamEvent[] = []
  try {
    for await (const event of stream) {
      seen.push(event)
      if (seen.filter(({ type }) => type === 'response.output_text.delta').length === 3)
        await service.processes[0]?.kill()
    }
  } catch {
    // The api was stopped.
  }
  const last = seen.at(-1)
  if (last?.type !== 'response.output_text.delta') throw new Error(`The last event is ${last?.type}.`)
  const port = new URL(service.url).port
  await service.start('api', { PORT: port })

  const [created] = seen
  const id = created?.type === 'response.created' ? created.response.id : ''
  const rest = await eventsOf(
    openai.responses.retrieve(id, { stream: true, starting_after: last.sequence_number }),
  )
  const all = [...seen, ...rest]
  expect(all.map(({ sequence_number }) => sequence_number)).toEqual(all.map((_, index) => index))
  const deltas = all.map((event) => (event.type === 'response.output_text.delta' ? event.delta : ''))
  expect(deltas.join('')).toBe(words)
  expect(all.at(-1)).toMatchObject({ type: 'response.completed', response: { output_text: words } })
  expect(await eventsOf(openai.responses.retrieve(id, { stream: true }))).toMatchObject(
    all.map(({ type, sequence_number }) => ({ type, sequence_number })),
  )
}, 60_000)

test('the strict helper takes a background stream', async () => {
  const { openai } = busy
  const stream = openai.responses.stream({ ...asked, input: 'one two /think' })
  expect(await stream.finalResponse()).toMatchObject({ status: 'completed', output_text: 'one two' })
}, 60_000)

test('after its worker was killed another one makes it anew: no delta is told twice, and the end has it whole', async () => {
  const { service, openai } = await given({ workers: 0 })
  const worker = await service.start('worker', { WORKER_NAME: 'first' })
  const words = Array.from({ length: 20 }, (_, n) => `w${n}`).join(' ')
  const stream = await openai.responses.create({ ...asked, input: `${words} /slow 100`, stream: true })
  const seen: OpenAI.Responses.ResponseStreamEvent[] = []
  for await (const event of stream) {
    seen.push(event)
    const told = seen.filter(({ type }) => type === 'response.output_text.delta').length
    if (told === 3 && event.type === 'response.output_text.delta') {
      await worker.kill()
      await service.start('worker', { WORKER_NAME: 'second' })
    }
  }

  const deltas = seen
    .map((event) => (event.type === 'response.output_text.delta' ? event.delta : ''))
    .join('')
  expect(words.startsWith(deltas)).toBe(true)
  expect(seen.at(-1)).toMatchObject({ type: 'response.completed', response: { output_text: words } })
  expect(seen.map(({ sequence_number }) => sequence_number)).toEqual(seen.map((_, index) => index))
}, 120_000)

test('it is cancelled while it waits, and while it runs', async () => {
  const waiting = await idle.openai.responses.create({ ...asked, input: 'x' })
  expect(await idle.openai.responses.cancel(waiting.id)).toMatchObject({ status: 'cancelled' })
  const [told] = (await eventsOf(idle.openai.responses.retrieve(waiting.id, { stream: true }))).slice(-1)
  expect(told).toMatchObject({ type: 'response.failed', response: { status: 'cancelled', error: null } })

  const { openai, untilStatus } = busy
  const running = await openai.responses.create({ ...asked, input: 'a b c /stall 1' })
  await untilStatus(running.id, 'in_progress')
  await openai.responses.cancel(running.id)
  await untilStatus(running.id, 'cancelled')
  expect(await openai.responses.cancel(running.id)).toMatchObject({ status: 'cancelled' })
}, 60_000)

test('what fails says why', async () => {
  const { openai, untilStatus } = busy
  const { id } = await openai.responses.create({ ...asked, input: 'a b /fail 1' })
  expect(await untilStatus(id, 'failed')).toMatchObject({
    error: { code: 'model_error', message: expect.stringContaining('told to fail') },
  })
}, 60_000)

test('the same request with the same key is one response', async () => {
  const { openai } = idle
  const ask = () =>
    openai.responses.create({ ...asked, input: 'x' }, { headers: { 'idempotency-key': 'one' } })
  expect((await ask()).id).toBe((await ask()).id)
}, 60_000)

test('a chat model is run at once where somebody waits, and as a job where nobody does', async () => {
  const { service } = busy
  const call = callerOf(service.url, service.apiKey)
  const inputs = { messages: [{ role: 'user', content: 'one two' }] }
  const atOnce = await call('POST /v1/run', { body: { model: 'parrot', inputs } })
  expect(atOnce).toMatchObject({
    status: 200,
    body: { model: 'parrot', choices: [{ message: { content: 'one two' } }], usage: { total_tokens: 4 } },
  })
  const vectors = await call('POST /v1/run', { body: { model: 'hash-embed', inputs: { input: ['a', 'b'] } } })
  expect(vectors.body.data.map(({ index }: { index: number }) => index)).toEqual([0, 1])

  for (const [model, given, result] of [
    ['parrot', inputs, { choices: [{ message: { content: 'one two' } }] }],
    ['hash-embed', { input: 'a' }, { data: [{ index: 0 }] }],
  ] as const) {
    const job = await call('POST /v1/run', { body: { model, inputs: given, async: true } })
    expect(job.status).toBe(202)
    const done = await until(
      async () => {
        const { body } = await call(`GET /v1/job/${job.body.job_id}`)
        return body.status === 'completed' && body
      },
      { what: 'the job', within: 20_000 },
    )
    expect(done.result).toMatchObject(result)
  }
  const refused = await call('POST /v1/run', {
    body: { model: 'parrot', inputs: { messages: [] }, async: true },
  })
  expect(refused.status).toBe(400)
  const prediction = await call('POST /v1/predictions', { body: { model: 'parrot', input: inputs } })
  expect(prediction).toMatchObject({ status: 422, body: { error: { error_id: 'MODEL_NOT_SUPPORTED' } } })
}, 60_000)

test('a chat model streams on /v1/run as it does on its own surface', async () => {
  const { service } = idle
  const response = await fetch(`${service.url}/v1/run`, {
    method: 'POST',
    headers: { 'x-api-key': service.apiKey, 'content-type': 'application/json' },
    body: JSON.stringify({
      model: 'parrot',
      inputs: { messages: [{ role: 'user', content: 'one two' }] },
      stream: true,
    }),
  })
  const frames = (await response.text()).trim().split('\n\n')
  expect(frames.at(-1)).toBe('data: [DONE]')
  expect(frames.join('')).toContain('chat.completion.chunk')
}, 60_000)

async function eventsOf<T>(stream: PromiseLike<AsyncIterable<T>>): Promise<T[]> {
  const events: T[] = []
  for await (const event of await stream) events.push(event)
  return events
}
