import { putPlan } from '@millrace/accounts/plans'
import { announceWorker } from '@millrace/lifecycle/workers'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { callerOf } from './api-caller.ts'
import { givenAccount, givenKeyWith } from './given-accounts.ts'
import { type RemoteModel, type RemoteService, startRemoteService } from './given-hosts.ts'
import { answering, away, givenHttpHost } from './given-http-hosts.ts'
import type { Receiver } from './harness/receiver.ts'
import { until } from './harness/wait.ts'
import { untilEnded } from './until-ended.ts'

let service: RemoteService
beforeAll(async () => {
  service = await startRemoteService()
})
afterAll(() => service.stop())

test('a model that is unavailable is served by its fallbacks in order, and the prediction says by which', async () => {
  const [first, second, third] = [
    await givenHttpHost(away),
    await givenHttpHost(away),
    await givenHttpHost(answering(200, 'served')),
  ]
  await service.serve({
    'in-turn/main': at(first, { retries: 1, fallbacks: ['in-turn/spare', 'in-turn/last'] }),
    'in-turn/spare': at(second, { retries: 2 }),
    'in-turn/last': at(third),
  })

  const ended = await untilEnded(service.call, await service.create('in-turn/main'))

  expect(ended).toMatchObject({ status: 'succeeded', output: 'served', model: { name: 'in-turn/main' } })
  expect(ended.metadata.served_by).toBe('in-turn/last')
  // Each has tries of its own.
  expect([first, second, third].map(({ requests }) => requests.length)).toEqual([2, 3, 1])
})

test('a fallback is run by whichever worker serves it, with its own defaults', async () => {
  const [main, spare] = [await givenHttpHost(away), await givenHttpHost(answering(200, 'served'))]
  await service.serve({
    'pool/main': at(main, { retries: 0, fallbacks: ['pool/spare'] }),
    'pool/spare': at(spare, {
      pool: 'other',
      input_schema: { type: 'object', properties: { size: { type: 'integer', default: 7 } } },
    }),
  })
  await announceWorker(service.db, 'other', ['pool/spare'])
  const id = await service.create('pool/main', { input: { text: 'x' } })
  const passedOn = async () => (await service.call(`GET /v1/predictions/${id}`)).body.metadata.served_by
  expect(await until(passedOn, { within: 20_000, what: 'the fallback' })).toBe('pool/spare')
  // It waits in another line, and is listed under the model that was asked for.
  const { status } = (await service.call(`GET /v1/predictions/${id}`)).body
  const listed = await service.call(`GET /v1/predictions?model=pool%2Fmain&status=${status}`)
  expect(listed.body.data).toEqual([expect.objectContaining({ id })])
  const other = await service.call(`GET /v1/predictions?model=pool%2Fspare&status=${status}`)
  expect(other.body.data).toEqual([])

  await service.startWorker('other', { POOLS: 'other' })

  expect(await untilEnded(service.call, id)).toMatchObject({ status: 'succeeded', output: 'served' })
  expect(JSON.parse(spare.requests[0]?.body ?? '')).toEqual({ text: 'x', size: 7 })
})

test('a fallback that the input does not fit is skipped, and the log says why', async () => {
  const [main, spare, last] = [
    await givenHttpHost(away),
    await givenHttpHost(answering(200, 'wrong')),
    await givenHttpHost(answering(200, 'right')),
  ]
  await service.serve({
    'fit/main': at(main, { retries: 0, fallbacks: ['fit/picky', 'fit/painter', 'fit/last'] }),
    'fit/picky': at(spare, {
      input_schema: { type: 'object', required: ['seed'], properties: { seed: { type: 'integer' } } },
    }),
    'fit/painter': at(spare, { type: 'image' }),
    'fit/last': at(last),
  })

  const id = await service.create('fit/main', { input: { text: 'x' } })

  expect(await untilEnded(service.call, id)).toMatchObject({
    output: 'right',
    metadata: { served_by: 'fit/last' },
  })
  expect(spare.requests).toEqual([])
  const log = await logOf(service.url, service.apiKey, id)
  expect(log).toContain('fit/picky cannot serve in its place: the input does not fit it (seed is required).')
  expect(log).toContain('fit/painter cannot serve in its place')
  expect(log).toContain('fit/main is unavailable; fit/last serves in its place.')
})

test.each([
  ['key', { models: { deny: ['key/spare', 'service:partner'] } }, {}],
  ['plan', {}, { models: { deny: ['plan/s*', 'service:partner'] } }],
])('a fallback that the %s may not use is skipped', async (whose, ofKey, ofPlan) => {
  const [main, spare, last] = [
    await givenHttpHost(away),
    await givenHttpHost(answering(200, 'wrong')),
    await givenHttpHost(answering(200, 'right')),
  ]
  await service.serve({
    [`${whose}/main`]: at(main, {
      retries: 0,
      fallbacks: [`${whose}/spare`, `${whose}/partner`, `${whose}/last`],
      partnerFallbacks: true,
    }),
    [`${whose}/spare`]: at(spare),
    [`${whose}/partner`]: at(spare, { service: { type: 'partner' } }),
    [`${whose}/last`]: at(last),
  })
  await putPlan(service.db, { kind: 'cli' }, whose, ofPlan)
  const { accountId } = await givenAccount(service)
  await service.db.pool.query('update accounts set plan = $2 where id = $1', [accountId, whose])
  const apiKey = await givenKeyWith(service, { accountId, ...ofKey })
  const call = callerOf(service.url, apiKey)

  const { body } = await call('POST /v1/predictions', { body: { model: `${whose}/main`, input: {} } })

  expect(await untilEnded(call, body.id)).toMatchObject({
    output: 'right',
    metadata: { served_by: `${whose}/last` },
  })
  expect(spare.requests).toEqual([])
  expect(await logOf(service.url, apiKey, body.id)).toContain(
    `${whose}/spare cannot serve in its place: who asked may not use it.`,
  )
})

test.each([
  ['POST /v1/predictions', { input: {} }],
  ['POST /v1/run', { inputs: {}, async: true }],
])('nobody else serves a prediction of %s that says auto_fallback: false', async (route, given) => {
  const [main, spare] = [await givenHttpHost(away), await givenHttpHost(answering(200, 'served'))]
  const name = `alone/${route.split('/').at(-1)}`
  await service.serve({
    [name]: at(main, { retries: 0, fallbacks: [`${name}/spare`] }),
    [`${name}/spare`]: at(spare),
  })

  const { body } = await service.call(route, { body: { model: name, auto_fallback: false, ...given } })

  const ended = await untilEnded(service.call, body.id ?? body.job_id)
  expect(ended).toMatchObject({ status: 'failed', error_id: 'PROVIDER_UNAVAILABLE' })
  expect(spare.requests).toEqual([])
})

test('what was sent to a native model goes to a partner only where the model says so', async () => {
  const [main, partner] = [await givenHttpHost(away), await givenHttpHost(answering(200, 'served'))]
  await service.serve({
    'native/closed': at(main, { retries: 0, fallbacks: ['native/partner'] }),
    'native/open': at(main, { retries: 0, fallbacks: ['native/partner'], partnerFallbacks: true }),
    'native/partner': at(partner, { service: { type: 'partner' } }),
  })

  const closed = await untilEnded(service.call, await service.create('native/closed'))
  expect(closed).toMatchObject({ status: 'failed', error_id: 'PROVIDER_UNAVAILABLE' })
  expect(partner.requests).toEqual([])

  expect(await untilEnded(service.call, await service.create('native/open'))).toMatchObject({
    status: 'succeeded',
    metadata: { served_by: 'native/partner' },
  })
})

test('a run of a fallback whose worker is killed is run again there', async () => {
  const [main, spare] = [await givenHttpHost(away), await givenHttpHost({ hang: true })]
  await service.serve({
    'killed/main': at(main, { pool: 'killed', retries: 0, fallbacks: ['killed/spare'] }),
    'killed/spare': at(spare, { pool: 'killed' }),
  })
  const first = await service.startWorker('first', { POOLS: 'killed' })
  const id = await service.create('killed/main')
  await spare.received(1, 20_000)

  await first.kill()
  spare.answerWith(answering(200, 'the second time'))
  await service.startWorker('second', { POOLS: 'killed' })

  expect(await untilEnded(service.call, id)).toMatchObject({
    status: 'succeeded',
    output: 'the second time',
    metadata: { served_by: 'killed/spare' },
  })
})

function at({ url }: Receiver, stated: Record<string, unknown> = {}): RemoteModel {
  return { ...stated, provider: { kind: 'http', url } }
}

/** What the stream of an ended prediction holds of its log. */
async function logOf(url: string, apiKey: string, id: string): Promise<string> {
  const headers = { 'x-api-key': apiKey, accept: 'text/event-stream' }
  const stream = await fetch(`${url}/v1/predictions/${id}/stream`, { headers })
  return JSON.stringify(await stream.text())
}
