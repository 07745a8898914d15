import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { type ApiCaller, callerOf, refusalOf } from './api-caller.ts'
import { startApiHere } from './api-here.ts'
import { givenAccount, givenKey } from './given-accounts.ts'
import { type Service, startService } from './harness/service.ts'
import { until } from './harness/wait.ts'
import { loggedCall } from './logged-call.ts'

let service: Service
let call: ApiCaller
beforeAll(async () => {
  service = await startService({ queue: 'redis', dispatchers: 0 })
  call = callerOf(service.url, service.apiKey)
})
afterAll(() => service.stop())

/** A caller of an account of its own, so that its list holds nothing else. */
async function givenCaller(): Promise<{ own: ApiCaller; accountId: string; apiKey: string }> {
  const { accountId, apiKey } = await givenAccount(service)
  return { own: callerOf(service.url, apiKey), accountId, apiKey }
}

async function predict(own: ApiCaller, body: object = {}, headers = {}): Promise<string> {
  const reply = await own('POST /v1/predictions', {
    body: { model: 'echo', input: {}, await: true, ...body },
    headers,
  })
  expect(reply.status, reply.text).toBeLessThan(300)
  return reply.body.id
}

async function chat(own: ApiCaller, requestId: string): Promise<void> {
  const body = { model: 'parrot', messages: [{ role: 'user', content: 'a mill' }] }
  expect(
    (await own('POST /v1/chat/completions', { body, headers: { 'x-request-id': requestId } })).status,
  ).toBe(200)
  await loggedCall(service, requestId)
}

const idsIn = ({ body }: { body: { data: { id: string }[] } }) => body.data.map(({ id }) => id)

test('predictions and calls are in one list, newest first, and found by each filter', async () => {
  const { own, accountId } = await givenCaller()
  const second = await givenKey(service, accountId)
  const red = await predict(own, { tags: { team: 'red', size: 'big' } }, { 'x-request-id': 'mine-1' })
  await chat(own, 'mine-2')
  const broken = await predict(own, { input: { fail: 'no' } })
  const waiting = await predict(callerOf(service.url, second.key), {
    await: false,
    run_at: new Date(Date.now() + 3_600_000).toISOString(),
    tags: { team: 'red' },
  })
  const all = await own('GET /v1/activity')
  const [, , asked] = idsIn(all)

  expect(idsIn(all)).toEqual([waiting, broken, asked, red])
  expect(all.body.pagination).toMatchObject({ total: 4, last_page: 1, next_cursor: null, prev_cursor: null })
  expect(all.body.data[3]).toMatchObject({
    type: 'prediction',
    model: 'echo',
    status: 'succeeded',
    request_id: 'mine-1',
    tags: { team: 'red', size: 'big' },
    key: { id: expect.stringMatching(/^key_/), name: expect.any(String) },
    tokens: { input: null, output: null, estimated: false },
    credits: 0,
  })
  expect(all.body.data[2]).toMatchObject({
    id: expect.stringMatching(/^call_/),
    type: 'chat',
    model: 'parrot',
    status: 'succeeded',
    request_id: 'mine-2',
    tokens: { input: expect.any(Number), output: expect.any(Number) },
  })
  const found = async (query: string) => idsIn(await own(`GET /v1/activity?${query}`))
  expect(await found('status=succeeded')).toEqual([asked, red])
  expect(await found('status=failed')).toEqual([broken])
  expect(await found('status=pending')).toEqual([waiting])
  expect(await found('status=processing')).toEqual([])
  expect(await found('type=prediction')).toEqual([waiting, broken, red])
  expect(await found('type=chat')).toEqual([asked])
  expect(await found('type=run')).toEqual([])
  expect(await found('model=parrot')).toEqual([asked])
  expect(await found('model=echo&status=succeeded')).toEqual([red])
  expect(await found('model=there-is-none')).toEqual([])
  expect(await found(`key=${all.body.data[0].key.id}`)).toEqual([waiting])
  expect(await found(`key=${all.body.data[3].key.id}`)).toEqual([broken, asked, red])
  expect(await found(`key=${all.body.data[3].key.id}&status=succeeded&model=echo`)).toEqual([red])
  expect(await found('tag.team=red')).toEqual([waiting, red])
  expect(await found('tag.team=red&tag.size=big')).toEqual([red])
  expect(await found('tag.team=red&status=succeeded')).toEqual([red])
  expect(await found('request_id=mine-1')).toEqual([red])
  expect(await found('request_id=mine-2')).toEqual([asked])
  expect(await found(`request_id=${all.body.data[1].request_id}`), 'an id of ours').toEqual([broken])
  expect(await found('request_id=req_unlike_ours')).toEqual([])
  expect(await found(`from=${encodeURIComponent(all.body.data[1].created_at)}`)).toEqual([waiting, broken])
  expect(await found(`to=${encodeURIComponent(all.body.data[3].created_at)}`)).toEqual([red])
  expect(await found('to=2020-01-01')).toEqual([])

  const { own: stranger } = await givenCaller()
  expect((await stranger('GET /v1/activity')).body.data).toEqual([])
  expect((await stranger(`GET /v1/activity?key=${all.body.data[3].key.id}`)).body.data).toEqual([])
})

test('what was deleted stays in it, before its purge and after', async () => {
  const { own } = await givenCaller()
  const gone = await predict(own, { tags: { team: 'red' } }, { 'x-request-id': 'mine-3' })
  const stays = await predict(own)
  await own(`DELETE /v1/predictions/${gone}`)
  for (const query of ['', 'status=succeeded', 'model=echo'])
    expect(idsIn(await own(`GET /v1/activity?${query}`)), query).toEqual([stays, gone])
  for (const query of ['tag.team=red', 'request_id=mine-3'])
    expect(idsIn(await own(`GET /v1/activity?${query}`)), query).toEqual([gone])
  expect((await own('GET /v1/usage?period=day')).body.total).toMatchObject({ total: 2, succeeded: 2 })
  expect((await own('GET /v1/usage?period=day&tag.team=red')).body.total).toMatchObject({ total: 1 })
})

test('pages go from end to end and back without a gap or a repeat, while more comes', async () => {
  const { own } = await givenCaller()
  const made: string[] = []
  for (let n = 0; n < 12; n++) {
    made.unshift(await predict(own, { await: false }))
    if (n % 4 === 3) await chat(own, `walk-${n}`)
  }
  const whole = idsIn(await own('GET /v1/activity?per_page=50'))
  expect(whole).toHaveLength(15)

  const walked: string[] = []
  let path = 'GET /v1/activity?per_page=4'
  for (let more = true; more; ) {
    const reply = await own(path)
    walked.push(...idsIn(reply))
    await predict(own, { await: false })
    const { next_cursor: next } = reply.body.pagination
    more = next !== null
    path = `GET /v1/activity?per_page=4&cursor=${next}`
  }
  expect(walked).toEqual(whole)

  const { body: last } = await own('GET /v1/activity?per_page=4&page=3')
  const back = await own(`GET /v1/activity?per_page=4&cursor=${last.pagination.prev_cursor}`)
  const second = await own('GET /v1/activity?per_page=4&page=2')
  expect(idsIn(back)).toEqual(idsIn(second))
})

test('NDJSON and CSV hold every row, and no cell is a formula', async () => {
  const { own, apiKey } = await givenCaller()
  const ids: string[] = []
  for (let n = 0; n < 3; n++) ids.unshift(await predict(own, { tags: { note: '=1+1, "so"' } }))
  const body = { model: '=2+3', messages: [{ role: 'user', content: 'a mill' }] }
  const refused = await own('POST /v1/chat/completions', { body, headers: { 'x-request-id': '-2' } })
  await loggedCall(service, refused.headers.get('x-request-id'))
  const ask = async (query: string, accept = '*/*') => {
    const response = await fetch(`${service.url}/v1/activity?${query}`, {
      headers: { 'x-api-key': apiKey, accept },
    })
    return {
      type: response.headers.get('content-type'),
      status: response.status,
      text: await response.text(),
    }
  }

  const ndjson = await ask('format=ndjson')
  expect(ndjson.type).toContain('application/x-ndjson')
  const rows = ndjson.text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  expect(rows).toEqual((await own('GET /v1/activity')).body.data)
  expect((await ask('', 'application/x-ndjson')).text).toBe(ndjson.text)
  const csv = await ask('', 'text/csv')
  expect(csv.type).toContain('text/csv')
  const [head, first, ...others] = csv.text.trim().split('\r\n')
  expect(head).toMatch(/^id,type,model,/)
  expect(first).toContain(",chat,'=2+3,,failed,MODEL_NOT_FOUND,")
  expect(first).toContain(",'-2,")
  expect(others).toHaveLength(3)
  expect(others[0]).toContain('"{""note"":""=1+1, \\""so\\""""}"')
  expect((await ask('format=csv&type=prediction')).text.trim().split('\r\n')).toHaveLength(4)
  expect(refusalOf(await own('GET /v1/activity?format=csv&page=1'))).toMatchObject({
    id: 'INVALID_PARAMETER_COMBINATION',
  })
  expect((await ask('format=ndjson&model=there-is-none')).text).toBe('')
})

test('usage is by groups, a call is in it at once, and nobody else sees it', async () => {
  const { own } = await givenCaller()
  await predict(own, { tags: { team: 'red' } })
  await predict(own, { input: { fail: 'no' }, tags: { team: 'blue' } })
  await chat(own, 'used')
  const { body } = await own('GET /v1/usage?group_by=model')
  expect(body).toMatchObject({
    group_by: 'model',
    total: { total: 3, succeeded: 2, failed: 1, cancelled: 0, error_rate: 1 / 3, credits: 0 },
    data: [
      {
        model: 'echo',
        total: 2,
        error_rate: 0.5,
        duration: { p50: expect.any(Number), p95: expect.any(Number) },
      },
      { model: 'parrot', total: 1, tokens: { input: expect.any(Number), output: expect.any(Number) } },
    ],
    complete: true,
  })
  expect(body.from).toMatch(/-01T00:00:00.000Z$/)
  const groups = async (query: string) => (await own(`GET /v1/usage?${query}`)).body.data
  expect(await groups('group_by=key')).toMatchObject([
    { key: { id: expect.stringMatching(/^key_/) }, total: 3 },
  ])
  expect(await groups('group_by=type')).toMatchObject([{ type: 'prediction' }, { type: 'chat' }])
  expect(await groups('group_by=day')).toMatchObject([
    { day: new Date().toISOString().slice(0, 10), total: 3 },
  ])
  expect(await groups('group_by=hour&period=day')).toMatchObject([{ hour: expect.any(String), total: 3 }])
  expect(await groups('group_by=tag')).toMatchObject([
    { tag: { name: 'team', value: 'blue' }, failed: 1 },
    { tag: { name: 'team', value: 'red' }, succeeded: 1 },
  ])
  expect(await groups('group_by=tag&tag=size')).toEqual([])
  expect(await groups('group_by=model&tag.team=red')).toMatchObject([{ model: 'echo', total: 1 }])
  expect(await groups('group_by=model&type=chat')).toMatchObject([{ model: 'parrot' }])
  expect((await own('GET /v1/usage?period=hour')).body).toMatchObject({
    total: { total: 3 },
    data: [],
    group_by: null,
  })
  const today = new Date().toISOString().slice(0, 10)
  expect((await own(`GET /v1/usage?from=${today}&to=${today}`)).body.total.total).toBe(3)
  expect((await own('GET /v1/usage?from=2020-01-01&to=2020-01-31')).body).toMatchObject({
    from: '2020-01-01T00:00:00.000Z',
    to: '2020-02-01T00:00:00.000Z',
    total: { total: 0, duration: { p50: null, p95: null } },
  })

  const { own: stranger } = await givenCaller()
  expect((await stranger('GET /v1/usage?group_by=tag')).body).toMatchObject({ total: { total: 0 }, data: [] })
})

test.each([
  ['period=day&from=2026-01-01', 'INVALID_PARAMETER_COMBINATION'],
  ['group_by=tag&period=hour', 'INVALID_PARAMETER_COMBINATION'],
  ['tag=team', 'INVALID_PARAMETER_COMBINATION'],
  ['tag.a=1&tag.b=2', 'INVALID_PARAMETER'],
  ['group_by=weather', 'INVALID_PARAMETER'],
  ['key=nonsense', 'INVALID_PARAMETER'],
  ['group_by=hour&from=2020-01-01&to=2020-01-02', 'INVALID_DATE_RANGE'],
  ['group_by=hour&from=2020-01-01', 'INVALID_DATE_RANGE'],
  ['from=yesterday', 'INVALID_DATE_FORMAT'],
])('usage by %s is refused with %s', async (query, errorId) => {
  expect(refusalOf(await call(`GET /v1/usage?${query}`))).toMatchObject({ id: errorId })
})

test('the status tells without a key which models run, and that no webhooks are sent', async () => {
  const open = callerOf(service.url)
  const status = await until(
    async () => {
      const { body } = await open('GET /v1/status')
      const up = body.models.filter((one: { status: string }) => one.status === 'operational')
      const isUp = ['echo', 'parrot'].every((name) => up.some((one: { model: string }) => one.model === name))
      return body.components.workers === 'operational' && isUp ? body : undefined
    },
    { what: 'the worker and its models to be known', within: 20_000 },
  )
  expect(status).toMatchObject({
    status: 'degraded',
    components: { api: 'operational', database: 'operational', queue: 'operational', webhooks: 'down' },
  })
  expect(status.models).toContainEqual({ model: 'echo', status: 'operational', reason: null })
  expect(status.models).toContainEqual({ model: 'parrot', status: 'operational', reason: null })
  const listed = (await call('GET /v1/models')).body.map(({ namespace }: { namespace: string }) => namespace)
  expect(status.models.map(({ model }: { model: string }) => model).sort()).toEqual(listed.sort())
  expect(JSON.stringify(status)).not.toMatch(/127\.0\.0\.1|localhost|[A-Z]+_(URL|KEY)/)
})

test('the status is told while the database is away', async () => {
  const { context, close } = await startApiHere(service)
  onTestFinished(close)
  const { db } = context
  const silent = { query: () => delay(60_000, undefined, { ref: false }) } as unknown as typeof db.pool
  const status = await context.status.of({ ...context, db: { ...db, pool: silent } })
  expect(status).toMatchObject({ status: 'down', components: { api: 'down', database: 'down' }, models: [] })
})
