import type { Prediction } from '@millrace/contract/prediction'
import type { ApiCaller } from './api-caller.ts'
import { until } from './harness/wait.ts'

/**
 * What a service has done after a while, so that every table has rows: predictions of every status, with a file, tags,
 * a log and an idempotency key; an endpoint with a secret of its own; webhooks that `receiver` took and some that nobody
 * took yet. Its worker must run one prediction at a time: of the two unfinished ones the second still waits.
 */
export async function givenHistory(call: ApiCaller, receiver: string): Promise<History> {
  async function create(body: object, headers = {}): Promise<Prediction> {
    const reply = await call('POST /v1/predictions', { body, headers })
    if (reply.status >= 300) throw new Error(reply.text)
    return reply.body
  }
  const endpoint = await call('POST /v1/webhooks', { body: { url: receiver, events: ['*'] } })
  if (endpoint.status >= 300) throw new Error(endpoint.text)
  const drawn = await create({
    model: 'doodle',
    input: { prompt: 'heron', width: 64, height: 64, seed: 7 },
    tags: { team: 'red', odd: 'a tab\tand \\N' },
    webhook: { url: nobody, events: ['completed'] },
    await: true,
  })
  await create({ model: 'echo', input: { fail: 'no such heron', log: 'looked\nfor it' }, await: true })
  const repeatable = { model: 'echo', input: { text: 'Grüße\n\t🏭 \\.', chunks: 3 }, await: true }
  const repeated = await create(repeatable, { 'idempotency-key': 'kept' })
  const cancelled = await create({ model: 'echo', input: { delay_ms: 60_000 } })
  await call(`POST /v1/predictions/${cancelled.id}/cancel`)
  await until(async () => (await read(call, cancelled.id)).status === 'cancelled', {
    within: 30_000,
    what: 'the cancel',
  })
  const slow = { model: 'echo', input: { text: 'goes on', delay_ms: 3_000 } }
  const [first, second] = [await create(slow), await create(slow)]
  await until(async () => (await read(call, first.id)).status === 'processing', {
    within: 30_000,
    what: 'the slow run',
  })
  await until(
    async () => (await call(`GET /v1/predictions/${drawn.id}/deliveries`)).text.includes('"attempts":[{'),
    {
      within: 30_000,
      what: 'a delivery that failed',
    },
  )
  return {
    drawn: drawn.id,
    repeatable,
    repeated: repeated.id,
    unfinished: [first.id, second.id],
    endpoint: endpoint.body.id,
  }
}

/** Nobody listens at the port of "discard". */
export const nobody = 'http://127.0.0.1:9/'

/**
 * All that the api says of it and that no time changes. Signatures are renewed with every answer, and what is unfinished
 * goes on.
 */
export async function answersOf(call: ApiCaller, { unfinished, endpoint }: History): Promise<unknown> {
  const list = await call('GET /v1/predictions?limit=50')
  const finished = (list.body.data as Prediction[]).filter(({ id }) => !unfinished.includes(id))
  const files = await call('GET /v1/files')
  const text = JSON.stringify({
    predictions: finished.map(({ urls: _, metadata, ...prediction }) => ({
      ...prediction,
      tags: metadata.tags,
    })),
    files: files.body.data.map(({ expires_at: _, ...file }: Record<string, unknown>) => file),
    secret: (await call(`GET /v1/webhooks/${endpoint}/secret`)).body,
    accountSecret: (await call('GET /v1/webhooks/default/secret')).body,
  })
  return JSON.parse(text.replaceAll(/https?:\/\/[^/"]+(\/files\/[^?"]+)[^"]*/g, '$1'))
}

/** The bytes of the picture, by the URL that the api gives out now. */
export async function pictureOf(call: ApiCaller, { drawn }: History): Promise<Buffer> {
  const { output } = await read(call, drawn)
  const reply = await fetch((output as string[])[0] ?? '')
  if (!reply.ok) throw new Error(`The picture is not there: ${reply.status}`)
  return Buffer.from(await reply.arrayBuffer())
}

/** The unfinished predictions, once they have ended. */
export async function untilAllEnded(call: ApiCaller, { unfinished }: History): Promise<Prediction[]> {
  return await until(
    async () => {
      const now = await Promise.all(unfinished.map((id) => read(call, id)))
      return now.every(({ completed_at }) => completed_at !== null) && now
    },
    { within: 30_000, what: 'what was unfinished to end' },
  )
}

async function read(call: ApiCaller, id: string): Promise<Prediction> {
  return (await call(`GET /v1/predictions/${id}`)).body
}

/** Ids, and a request that answers the same prediction again. */
export interface History {
  drawn: string
  repeatable: object
  repeated: string
  unfinished: string[]
  endpoint: string
}
