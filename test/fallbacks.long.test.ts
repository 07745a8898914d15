import { announceWorker } from '@millrace/lifecycle/workers'
import { expect, test } from 'vitest'
import { givenRemoteModels, type RemoteModel } from './given-hosts.ts'
import { answering, away, givenHttpHost } from './given-http-hosts.ts'
import type { Receiver } from './harness/receiver.ts'
import { until } from './harness/wait.ts'
import { untilEnded } from './until-ended.ts'

test('a model that is unavailable is served by its fallbacks in order, and the prediction says by which', async () => {
  const [first, second, third] = [
    await givenHttpHost(away),
    await givenHttpHost(away),
    await givenHttpHost(answering(200, 'served')),
  ]
  const { call, create } = await givenRemoteModels({
    main: at(first, { retries: 1, fallbacks: ['spare', 'last'] }),
    spare: at(second, { retries: 2 }),
    last: at(third),
  })

  const ended = await untilEnded(call, await create('main'))

  expect(ended).toMatchObject({ status: 'succeeded', output: 'served', model: { name: 'main' } })
  expect(ended.metadata.served_by).toBe('last')
  // Each has tries of its own.
  expect([first, second, third].map(({ requests }) => requests.length)).toEqual([2, 3, 1])
}, 60_000)

test('a fallback is run by whichever worker serves it, with its own defaults', async () => {
  const [main, spare] = [await givenHttpHost(away), await givenHttpHost(answering(200, 'served'))]
  const service = await givenRemoteModels(
    {
      main: at(main, { retries: 0, fallbacks: ['spare'] }),
      spare: at(spare, {
        pool: 'other',
        input_schema: { type: 'object', properties: { size: { type: 'integer', default: 7 } } },
      }),
    },
    { env: { POOLS: 'default' } },
  )
  await announceWorker(service.db, 'other', ['spare'])
  const id = await service.create('main', { input: { text: 'x' } })
  const passedOn = async () => (await service.call(`GET /v1/predictions/${id}`)).body.metadata.served_by
  expect(await until(passedOn, { within: 20_000, what: 'the fallback' })).toBe('spare')
  // It waits in another line, and is listed under the model that was asked for.
  const { status } = (await service.call(`GET /v1/predictions/${id}`)).body
  const listed = await service.call(`GET /v1/predictions?model=main&status=${status}`)
  expect(listed.body.data).toEqual([expect.objectContaining({ id })])
  const other = await service.call(`GET /v1/predictions?model=spare&status=${status}`)
  expect(other.body.data).toEqual([])

  await service.start('worker', { POOLS: 'other', WORKER_NAME: 'other' })

  expect(await untilEnded(service.call, id)).toMatchObject({ status: 'succeeded', output: 'served' })
  expect(JSON.parse(spare.requests[0]?.body ?? '')).toEqual({ text: 'x', size: 7 })
}, 60_000)

test('a fallback that the input does not fit is skipped, and the log says why', async () => {
  const [main, spare, last] = [
    await givenHttpHost(away),
    await givenHttpHost(answering(200, 'wrong')),
    await givenHttpHost(answering(200, 'right')),
  ]
  const { call, create, url, apiKey } = await givenRemoteModels({
    main: at(main, { retries: 0, fallbacks: ['picky', 'painter', 'last'] }),
    picky: at(spare, {
      input_schema: { type: 'object', required: ['seed'], properties: { seed: { type: 'integer' } } },
    }),
    painter: at(spare, { type: 'image' }),
    last: at(last),
  })

  const id = await create('main', { input: { text: 'x' } })

  expect(await untilEnded(call, id)).toMatchObject({
    output: 'right',
    metadata: { served_by: 'last' },
  })
  expect(spare.requests).toEqual([])
  const log = await logOf(url, apiKey, id)
  expect(log).toContain('picky cannot serve in its place: the input does not fit it (seed is required).')
  expect(log).toContain('painter cannot serve in its place')
  expect(log).toContain('main is unavailable; last serves in its place.')
}, 60_000)

test.each([
  ['POST /v1/predictions', { input: {} }],
  ['POST /v1/run', { inputs: {}, async: true }],
])(
  'nobody else serves a prediction of %s that says auto_fallback: false',
  async (route, given) => {
    const [main, spare] = [await givenHttpHost(away), await givenHttpHost(answering(200, 'served'))]
    const { call } = await givenRemoteModels({
      main: at(main, { retries: 0, fallbacks: ['spare'] }),
      spare: at(spare),
    })

    const { body } = await call(route, { body: { model: 'main', auto_fallback: false, ...given } })

    const ended = await untilEnded(call, body.id ?? body.job_id)
    expect(ended).toMatchObject({ status: 'failed', error_id: 'PROVIDER_UNAVAILABLE' })
    expect(spare.requests).toEqual([])
  },
  60_000,
)

test('what was sent to a native model goes to a partner only where the model says so', async () => {
  const [main, partner] = [await givenHttpHost(away), await givenHttpHost(answering(200, 'served'))]
  const { call, create } = await givenRemoteModels({
    closed: at(main, { retries: 0, fallbacks: ['partner'] }),
    open: at(main, { retries: 0, fallbacks: ['partner'], partnerFallbacks: true }),
    partner: at(partner, { service: { type: 'partner' } }),
  })

  const closed = await untilEnded(call, await create('closed'))
  expect(closed).toMatchObject({ status: 'failed', error_id: 'PROVIDER_UNAVAILABLE' })
  expect(partner.requests).toEqual([])

  expect(await untilEnded(call, await create('open'))).toMatchObject({
    status: 'succeeded',
    metadata: { served_by: 'partner' },
  })
}, 60_000)

test('a run of a fallback whose worker is killed is run again there', async () => {
  const [main, spare] = [await givenHttpHost(away), await givenHttpHost({ hang: true })]
  const service = await givenRemoteModels(
    { main: at(main, { retries: 0, fallbacks: ['spare'] }), spare: at(spare) },
    { workers: 0 },
  )
  const first = await service.start('worker', { WORKER_NAME: 'first' })
  const id = await service.create('main')
  await spare.received(1, 20_000)

  await first.kill()
  spare.answerWith(answering(200, 'the second time'))
  await service.start('worker', { WORKER_NAME: 'second' })

  expect(await untilEnded(service.call, id)).toMatchObject({
    status: 'succeeded',
    output: 'the second time',
    metadata: { served_by: 'spare' },
  })
}, 60_000)

function at({ url }: Receiver, stated: Record<string, unknown> = {}): RemoteModel {
  return { ...stated, provider: { kind: 'http', url } }
}

/** What the stream of an ended prediction holds of its log. */
async function logOf(url: string, apiKey: string, id: string): Promise<string> {
  const headers = { 'x-api-key': apiKey, accept: 'text/event-stream' }
  const stream = await fetch(`${url}/v1/predictions/${id}/stream`, { headers })
  return JSON.stringify(await stream.text())
}
