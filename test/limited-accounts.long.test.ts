import { setTimeout as delay } from 'node:timers/promises'
import type { Limits, OverLimit } from '@millrace/contract/plan'
import { expect, test } from 'vitest'
import { type ApiCaller, callerOf, refusalOf } from './api-caller.ts'
import { givenAccount, givenKey } from './given-accounts.ts'
import { givenRemoteModels, type RemoteService } from './given-hosts.ts'
import { answering, givenHttpHost } from './given-http-hosts.ts'
import { givenOnPlan } from './given-limits.ts'
import { until } from './harness/wait.ts'
import { untilEnded } from './until-ended.ts'

test('an account never runs more than its plan allows, in all models and workers together, also when one is killed', async () => {
  const host = await givenCountingHost(100)
  const provider = { kind: 'http', url: host.url }
  const service = await givenRemoteModels(
    { one: { concurrency: 4, provider }, two: { concurrency: 4, provider } },
    { workers: 1, env: { LEASE_SECONDS: '2' } },
  )
  const doomed = await service.startWorker('doomed')
  const limited = await givenLimited(service, { running: 3 })
  const free = await givenLimited(service, {})

  const create = (call: ApiCaller, who: string) => (_: unknown, n: number) =>
    createdBy(call, n % 2 === 0 ? 'one' : 'two', { who })
  const ids = await Promise.all(Array.from({ length: 40 }, create(limited.call, 'limited')))
  const others = await Promise.all(Array.from({ length: 20 }, create(free.call, 'free')))
  await until(() => host.served('limited') >= 10, { within: 20_000, what: 'some to have run' })
  await doomed.kill()

  for (const id of ids) expect(await untilEnded(limited.call, id)).toMatchObject({ status: 'succeeded' })
  for (const id of others) expect(await untilEnded(free.call, id)).toMatchObject({ status: 'succeeded' })
  expect(host.most('limited')).toBeLessThanOrEqual(3)
  expect(host.most('limited')).toBeGreaterThanOrEqual(2)
  for (const worker of service.processes) expect(worker.log()).not.toContain('claims nothing')
}, 120_000)

test('what ends in one worker wakes what waits for its account to have room in another, the oldest first, by no sweep', async () => {
  const gate = Promise.withResolvers<void>()
  const host = await givenCountingHost(50, gate.promise)
  const provider = { kind: 'http', url: host.url }
  const service = await givenRemoteModels(
    { one: { pool: 'a', provider }, two: { pool: 'b', provider } },
    { workers: 0, dispatchers: 0 },
  )
  const workers = [
    await service.startWorker('of-one', { POOLS: 'a' }),
    await service.startWorker('of-two', { POOLS: 'b' }),
  ]
  const { call } = await givenLimited(service, { running: 1 })

  const first = await createdBy(call, 'one')
  await until(() => host.most() === 1, { what: 'the first to run' })
  const ids = [first]
  for (const model of ['one', 'one', 'two', 'one', 'one', 'one', 'one'])
    ids.push(await createdBy(call, model))
  const waitingFor = async () => (await call(`GET /v1/predictions/${ids[3]}`)).body.metadata.waiting_for
  await until(async () => (await waitingFor()) === 'Its account may run 1 at a time.', {
    what: 'it to be told',
  })
  gate.resolve()
  const ended = []
  for (const id of ids) ended.push(await untilEnded(call, id))

  expect(ended.map(({ status }) => status)).toEqual(ids.map(() => 'succeeded'))
  expect(host.most()).toBe(1)
  const order = ended
    .toSorted((a, b) => (`${a.started_at}` < `${b.started_at}` ? -1 : 1))
    .map(({ model }) => model.name)
  expect(order.lastIndexOf('one')).toBeGreaterThan(order.indexOf('two'))
  // Each runs once what it waits for has ended, and not because its worker looked.
  for (const worker of workers) expect(worker.log()).not.toContain('claims nothing')
}, 90_000)

test('a key runs no more than it may, and its account goes on with its other keys', async () => {
  const host = await givenCountingHost(100)
  const provider = { kind: 'http', url: host.url }
  const service = await givenRemoteModels({ one: { concurrency: 8, provider } })
  const { accountId, call } = await givenLimited(service, { running: 4 })
  const key = await givenKey(service, accountId)
  await service.db.pool.query('update api_keys set limits = $2 where id = $1', [
    key.id,
    JSON.stringify({ models: { 'o*': { running: 1 } } }),
  ])
  const byKey = callerOf(service.url, key.key)

  const ids = await Promise.all(Array.from({ length: 12 }, () => createdBy(byKey, 'one', { who: 'limited' })))
  ids.push(...(await Promise.all(Array.from({ length: 12 }, () => createdBy(call, 'one', { who: 'free' })))))

  for (const id of ids) expect(await untilEnded(call, id)).toMatchObject({ status: 'succeeded' })
  expect(host.most('limited')).toBe(1)
  expect(host.most()).toBeLessThanOrEqual(4)
  expect(host.most()).toBeGreaterThan(1)
}, 90_000)

test('an account that would rather be refused than wait is refused what it would wait with, and nothing else', async () => {
  const host = await givenCountingHost(100)
  const provider = { kind: 'http', url: host.url }
  const service = await givenRemoteModels({ one: { provider }, two: { provider } }, { workers: 0 })
  const limits = { running: 3, models: { one: { running: 1 } } }
  const { call } = await givenLimited(service, limits, 'refuse')
  const create = (model: string, more: object = {}) =>
    call('POST /v1/predictions', { body: { model, input: {}, ...more } })

  const replies = await Promise.all(Array.from({ length: 10 }, () => create('two')))
  const refused = replies.filter(({ status }) => status === 429)
  expect(replies.filter(({ status }) => status === 201)).toHaveLength(3)
  expect(refused.map(refusalOf)).toEqual(
    Array(7).fill({ status: 429, id: 'RATE_LIMIT_EXCEEDED', fields: [] }),
  )
  for (const { headers } of refused) expect(Number(headers.get('retry-after'))).toBeGreaterThan(0)
  expect(refused[0]?.body.response).toBe('This account may have 3 predictions at a time, and has that many.')

  const [first, second] = replies.flatMap(({ status, body }) => (status === 201 ? [body.id] : []))
  for (const id of [first, second]) await call(`POST /v1/predictions/${id}/cancel`)
  expect((await create('one')).status).toBe(201)
  expect((await create('one')).body.response).toBe(
    'This account may have 1 predictions of this model at a time, and has that many.',
  )
  expect((await create('two')).status).toBe(201)
  expect((await create('two')).status).toBe(429)
  // What starts later does not wait yet.
  await until(
    async () => (await service.db.pool.query('select from runs where parked_until is null')).rowCount === 3,
    {
      what: 'three to be in line',
    },
  )
}, 60_000)

/** A host that takes so long for each, and counts how many it has at once, by what their input says. */
async function givenCountingHost(ms: number, gate?: Promise<void>) {
  const inside: string[] = []
  const most = new Map<string, number>()
  const served: string[] = []
  const host = await givenHttpHost((request) => {
    const who = /"who":\s*"(\w+)"/.exec(request.body)?.[1] ?? 'anybody'
    inside.push(who)
    for (const one of ['', who]) {
      const now = inside.filter((other) => one === '' || other === one).length
      most.set(one, Math.max(most.get(one) ?? 0, now))
    }
    const after = Promise.all([gate, delay(ms)]).then(() => {
      inside.splice(inside.indexOf(who), 1)
      served.push(who)
    })
    return { ...answering(200, 'done'), after }
  })
  return {
    url: host.url,
    most: (who = '') => most.get(who) ?? 0,
    served: (who: string) => served.filter((one) => one === who).length,
  }
}

/** An account with such limits, and its client. */
async function givenLimited(service: RemoteService, limits: Limits, overLimit: OverLimit = 'queue') {
  const { accountId, apiKey } = await givenAccount(service)
  await givenOnPlan(service.db, { account: accountId, limits, over_limit: overLimit })
  return { accountId, call: callerOf(service.url, apiKey) }
}

async function createdBy(call: ApiCaller, model: string, input: object = {}): Promise<string> {
  const { status, body, text } = await call('POST /v1/predictions', { body: { model, input } })
  if (status !== 201) throw new Error(text)
  return body.id
}
