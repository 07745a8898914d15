import { randomUUID } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fromTypeId, toTypeId } from '@millrace/database/ids'
import { moveCredits } from '@millrace/ledger/move-credits'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ApiCaller, callerOf, refusalOf } from './api-caller.ts'
import { givenAccount } from './given-accounts.ts'
import { booksOf } from './given-credits.ts'
import { type Service, startService } from './harness/service.ts'
import { until } from './harness/wait.ts'
import { untilEnded } from './until-ended.ts'

let service: Service
let folder: string
let admin: ApiCaller
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-prices-'))
  const model = (name: string, pricing: object, run: string) =>
    writeFile(
      join(folder, `${name}.mjs`),
      `export default { namespace: '${name}', type: 'text', pricing: ${JSON.stringify(pricing)},
         input_schema: { type: 'object', properties: { pages: { type: 'integer' } } }, async run(input, context) { ${run} } }`,
    )
  await Promise.all([
    model('flat', { amount: 0.5, unit: 'prediction' }, 'return "done"'),
    model('broken', { amount: 0.5, unit: 'prediction' }, 'throw new Error("It broke")'),
    model(
      'pages',
      { amount: 0.01, unit: 'page', estimate: 100 },
      'context.usage({ page: 1 }); context.usage({ page: 7 }); return "read"',
    ),
    writeFile(
      join(folder, 'told.json'),
      JSON.stringify({
        namespace: 'told',
        type: 'text',
        pricing: { amount: 0.01, unit: 'page' },
        input_schema: { type: 'object' },
        provider: {
          kind: 'command',
          command: [
            'sh',
            '-c',
            `echo '{"event":"usage","usage":{"page":3}}'; echo '{"event":"result","output":1}'`,
          ],
        },
      }),
    ),
    writeFile(
      join(folder, 'talker.mjs'),
      `export default { namespace: 'talker', type: 'text', apis: ['chat', 'responses'],
         pricing: { amount: 0, unit: 'token', per: 1000, input_amount: 1, output_amount: 2 },
         input_schema: { type: 'object' },
         async *run() { yield 'Hello.'; yield { usage: { prompt_tokens: 3, completion_tokens: 5, total_tokens: 8 } } } }`,
    ),
  ])
  service = await startService({ queue: 'redis', apis: 2, env: { MODELS_DIR: folder, CREDITS_PER_USD: '2' } })
  admin = callerOf(service.url, service.adminKey)
}, 60_000)
afterAll(async () => {
  await service.stop()
  await rm(folder, { recursive: true })
})

async function givenPayer(credits: number) {
  const { accountId, apiKey } = await givenAccount(service)
  if (credits !== 0)
    await moveCredits(service.db, { accountId, amount: Math.round(credits * 1e6), reason: 'for a test' })
  return {
    accountId,
    id: toTypeId('acct', accountId),
    call: callerOf(service.url, apiKey),
    callOther: callerOf(service.urls[1] ?? '', apiKey),
    books: () => booksOf(service.db, accountId),
  }
}

const creating = (model: string, input: object = {}, key?: string) =>
  [
    'POST /v1/predictions',
    { body: { model, input }, ...(key === undefined ? {} : { headers: { 'idempotency-key': key } }) },
  ] as const

test('a prediction is paid for by its account: held, charged where it succeeds, and shown', async () => {
  const { call, books } = await givenPayer(3)

  const { body } = await call(...creating('flat'))
  const ended = await untilEnded(call, body.id)

  expect(ended.metadata.billing).toEqual({ credits_used: 1 })
  expect((await call('GET /v1/balance')).body).toEqual({
    balance: 2,
    held: 0,
    available: 2,
    currency: 'credits',
    low: true,
  })
  const { body: ledger } = await call('GET /v1/ledger')
  expect(ledger.data).toMatchObject([
    {
      kind: 'charge',
      amount: -1,
      debit: 'account',
      credit: 'revenue',
      prediction_id: body.id,
      model: 'flat',
      reason: null,
    },
    { kind: 'topup', amount: 3, prediction_id: null, reason: 'for a test' },
  ])
  expect(ledger.data[0].key_id).toMatch(/^key_/)
  expect(await books()).toMatchObject({ balance: 2_000_000, entered: 2_000_000, held: 0 })
})

test('a plan has its own price, and what was accepted keeps the price it had', async () => {
  const { call, accountId } = await givenPayer(10)
  const setPlan = (plan: string) =>
    service.db.pool.query('update accounts set plan = $2 where id = $1', [accountId, plan])
  await service.db.pool.query(
    `insert into plans (name, settings) values ('dear', '{"price_multiplier": 2.5}')`,
  )
  await setPlan('dear')
  const { body } = await call('POST /v1/predictions', {
    body: { model: 'flat', input: {}, run_at: new Date(Date.now() + 1_500).toISOString() },
  })
  await setPlan('unlimited')

  expect((await call('GET /v1/balance')).body).toMatchObject({
    balance: 10,
    held: 2.5,
    available: 7.5,
    // What is held is there yet.
    low: false,
  })
  expect((await untilEnded(call, body.id)).metadata.billing.credits_used).toBe(2.5)
})

test('a failed one costs nothing, and what the model tells of its use is what is charged', async () => {
  const { call, books } = await givenPayer(10)
  const used = async (model: string) => {
    const { body } = await call(...creating(model))
    return (await untilEnded(call, body.id)).metadata.billing.credits_used
  }

  expect(await used('broken')).toBe(0)
  expect(await used('pages')).toBe(0.14)
  expect(await used('told')).toBe(0.06)
  expect(await books()).toMatchObject({ held: 0, charged: 200_000, balance: 9_800_000 })
})

test('a background response is paid for by its tokens', async () => {
  const { call } = await givenPayer(100)
  const { body } = await call('POST /v1/responses', {
    body: { model: 'talker', input: 'Say hello', background: true, max_output_tokens: 1000 },
  })
  const held = (await call('GET /v1/balance')).body.held

  await until(async () => (await call(`GET /v1/responses/${body.id}`)).body.status === 'completed', {
    what: 'the response to be completed',
  })

  const { body: after } = await call('GET /v1/balance')
  expect(held === 0 || held > 4).toBe(true)
  expect(after).toMatchObject({ held: 0, balance: 100 - (2 * (3 * 1 + 5 * 2)) / 1000 })
})

test('what an account cannot pay for is refused with the estimate and what there is, and nothing is kept of it', async () => {
  const { call, id, accountId } = await givenPayer(0.75)
  const reply = await call(...creating('flat', {}, randomUUID()))

  expect(refusalOf(reply)).toMatchObject({ status: 402, id: 'INSUFFICIENT_CREDITS' })
  expect(reply.body.error.message).toBe('The estimate is 1 credits, and this account has 0.75 available.')
  expect((await call(...creating('echo'))).status).toBe(201)

  await admin(`POST /v1/admin/accounts/${id}/credits`, { body: { amount: -1, reason: 'a debt' } })
  expect(refusalOf(await call(...creating('flat')))).toMatchObject({ status: 402, id: 'PAYMENT_REQUIRED' })
  const { rows } = await service.db.pool.query('select from predictions where account_id = $1', [accountId])
  expect(rows).toHaveLength(1)
})

test('with credits for 60 of 200 creates at once, over two apis, exactly 60 are accepted', async () => {
  const { call, callOther, accountId, books } = await givenPayer(60)

  const replies = await Promise.all(
    Array.from({ length: 200 }, (_, n) =>
      (n % 2 ? call : callOther)(...creating('flat', {}, n % 3 ? `key ${n}` : undefined)),
    ),
  )

  const accepted = replies.filter(({ status }) => status === 201)
  expect(accepted).toHaveLength(60)
  expect(new Set(replies.map(({ status }) => status))).toEqual(new Set([201, 402]))
  await Promise.all(accepted.map(({ body }) => untilEnded(call, body.id)))
  expect(await books()).toEqual({
    balance: 0,
    entered: 0,
    held: 0,
    holds: 0,
    charged: 60_000_000,
    charges: 60_000_000,
  })
  const { rows } = await service.db.pool.query('select from predictions where account_id = $1', [accountId])
  expect(rows).toHaveLength(60)
})

test('one key is paid for once, however many send it at once, and answered when nothing is left', async () => {
  const { call, callOther, books } = await givenPayer(1)
  const key = randomUUID()

  const replies = await Promise.all(
    Array.from({ length: 20 }, (_, n) => (n % 2 ? call : callOther)(...creating('flat', {}, key))),
  )
  const ids = replies.flatMap(({ status, body }) => (status === 201 ? [body.id] : []))
  await untilEnded(call, ids[0])
  const last = await call(...creating('flat', {}, key))

  expect(replies.every(({ status }) => status === 201 || status === 409)).toBe(true)
  expect(new Set(ids).size).toBe(1)
  expect(last).toMatchObject({ status: 201, body: { id: ids[0] } })
  expect(await books()).toMatchObject({ balance: 0, held: 0, charges: 1_000_000 })
})

test('a line of a batch that cannot be paid for fails alone', async () => {
  const { call } = await givenPayer(1)
  const requests = ['a', 'b'].map((custom_id) => ({
    custom_id,
    url: '/v1/predictions',
    body: { model: 'flat', input: {} },
  }))
  const { body } = await call('POST /v1/batches', { body: { requests } })

  const batch = await until(
    async () => {
      const { body: now } = await call(`GET /v1/batches/${body.id}`)
      return now.status === 'completed' && now
    },
    { what: 'the batch to end', within: 20_000 },
  )

  expect(batch.request_counts).toEqual({ total: 2, completed: 1, failed: 1 })
  const { text } = await call(`GET /v1/files/${batch.error_file_id}/content`)
  expect(text).toContain('INSUFFICIENT_CREDITS')
})

test('the operator gives and takes credits, once for each key', async () => {
  const { id, call } = await givenPayer(0)
  const moving = (amount: number, key?: string) =>
    admin(`POST /v1/admin/accounts/${id}/credits`, {
      body: { amount, reason: 'Invoice 7' },
      ...(key === undefined ? {} : { headers: { 'idempotency-key': key } }),
    })

  const replies = await Promise.all([moving(5, 'seven'), moving(5, 'seven'), moving(5, 'seven')])

  expect(replies.map(({ status }) => status)).toEqual([201, 201, 201])
  expect(new Set(replies.map(({ body }) => body.entry.id)).size).toBe(1)
  expect(replies.filter(({ headers }) => headers.has('idempotency-replayed'))).toHaveLength(2)
  expect(refusalOf(await moving(6, 'seven'))).toMatchObject({ status: 422, id: 'IDEMPOTENCY_KEY_REUSED' })
  expect((await moving(-7.5)).body).toMatchObject({
    entry: { kind: 'debit', amount: -7.5 },
    balance: { balance: -2.5 },
  })
  expect((await call('GET /v1/balance')).body.balance).toBe(-2.5)
  const acts = (await admin(`GET /v1/admin/audit?account=${id}`)).body.data
  expect(acts.map(({ act, after }: { act: string; after: object }) => ({ act, ...after }))).toEqual([
    { act: 'credits.debit', amount: 7.5, reason: 'Invoice 7' },
    { act: 'credits.topup', amount: 5, reason: 'Invoice 7' },
  ])
  expect(refusalOf(await moving(0.0000001))).toMatchObject({ status: 400, fields: ['amount'] })
  const nobody = toTypeId('acct', randomUUID())
  expect(
    refusalOf(await admin(`POST /v1/admin/accounts/${nobody}/credits`, { body: { amount: 1, reason: 'x' } })),
  ).toMatchObject({ status: 404, id: 'ACCOUNT_NOT_FOUND' })
})

test('a charge is given back at most once over, whoever asks at the same time', async () => {
  const { id, call, books } = await givenPayer(5)
  const { body: made } = await call(...creating('flat'))
  await untilEnded(call, made.id)
  const refunding = (body: object, headers = {}) =>
    admin(`POST /v1/admin/accounts/${id}/refunds`, { body: { reason: 'It was bad', ...body }, headers })

  const parts = await Promise.all(
    Array.from({ length: 8 }, () => refunding({ prediction_id: made.id, amount: 0.3 })),
  )
  const rest = await refunding({ prediction_id: made.id }, { 'idempotency-key': 'rest' })
  const again = await refunding({ prediction_id: made.id }, { 'idempotency-key': 'rest' })

  expect(parts.filter(({ status }) => status === 201)).toHaveLength(3)
  expect(refusalOf(parts.find(({ status }) => status === 400) ?? rest)).toMatchObject({ fields: ['amount'] })
  expect(rest.body).toMatchObject({
    entry: { kind: 'refund', amount: 0.1, prediction_id: made.id },
    balance: { balance: 5 },
  })
  expect(again.body.entry.id).toBe(rest.body.entry.id)
  expect(refusalOf(await refunding({ prediction_id: made.id }))).toMatchObject({
    status: 400,
    fields: ['amount'],
  })
  expect(await books()).toMatchObject({ balance: 5_000_000, entered: 5_000_000 })

  const { body: ledger } = await call(`GET /v1/ledger?kind=charge`)
  expect(refusalOf(await refunding({ entry_id: ledger.data[0].id, amount: 0.1 }))).toMatchObject({
    status: 400,
  })
  expect(refusalOf(await refunding({}))).toMatchObject({ status: 400, fields: ['prediction_id'] })
  const other = await givenPayer(0)
  expect(
    refusalOf(
      await admin(`POST /v1/admin/accounts/${other.id}/refunds`, {
        body: { prediction_id: made.id, reason: 'x' },
      }),
    ),
  ).toMatchObject({ status: 404, id: 'PREDICTION_NOT_FOUND' })
})

test('an entry of the ledger is never changed and never taken away, not even by hand', async () => {
  for (const statement of ['update ledger_entries set amount = amount + 1', 'delete from ledger_entries'])
    await expect(service.db.pool.query(statement)).rejects.toMatchObject({ code: '23514' })
})

test('the ledger comes in pages, by filters, and as a table that no spreadsheet takes for formulas', async () => {
  const { id, accountId, call } = await givenPayer(0)
  for (let n = 1; n <= 5; n++) {
    await admin(`POST /v1/admin/accounts/${id}/credits`, {
      body: { amount: n, reason: `=cmd|' /C calc'!A${n}, "x"` },
    })
  }
  const { body: first } = await call('GET /v1/ledger?per_page=2')
  const { body: second } = await call(`GET /v1/ledger?per_page=2&cursor=${first.pagination.next_cursor}`)
  const amounts = ({ data }: { data: { amount: number }[] }) => data.map(({ amount }) => amount)

  expect([amounts(first), amounts(second)]).toEqual([
    [5, 4],
    [3, 2],
  ])
  expect(first.pagination).toMatchObject({ total: 5, last_page: 3 })
  expect((await call('GET /v1/ledger?kind=debit')).body.data).toEqual([])
  expect((await call('GET /v1/ledger?to=2001-01-01')).body.data).toEqual([])
  expect(
    (await call(`GET /v1/ledger?from=${new Date().toISOString().slice(0, 10)}`)).body.data.length,
  ).toBeGreaterThan(0)
  expect(refusalOf(await call('GET /v1/ledger?prediction_id=nonsense'))).toMatchObject({ status: 400 })

  for (const csv of [
    await call('GET /v1/ledger?format=csv'),
    await call('GET /v1/ledger', { headers: { accept: 'text/csv' } }),
  ]) {
    expect(csv.headers.get('content-type')).toBe('text/csv; charset=utf-8')
    const lines = csv.text.trimEnd().split('\r\n')
    expect(lines).toHaveLength(6)
    expect(lines[0]).toBe(
      'id,created_at,kind,amount,debit,credit,prediction_id,request_id,key_id,model,reason,call_id',
    )
    expect(lines[1]).toMatch(/^entry_\w+,[^,]+,topup,5,funding,account,,,,,"'=cmd\|' \/C calc'!A5, ""x""",$/)
  }
  expect(fromTypeId('acct', id)).toBe(accountId)
})
