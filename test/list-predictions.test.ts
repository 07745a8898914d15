import { newId } from '@millrace/database/ids'
import { accept } from '@millrace/lifecycle/accept'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ApiCaller, callerOf, publicId, refusalOf } from './api-caller.ts'
import { givenAccount } from './given-accounts.ts'
import { draft, givenPrediction, lifecycleOn } from './given-predictions.ts'
import { type Service, startService } from './harness/service.ts'

let service: Service
let account: string
let call: ApiCaller
/** Newest first: what the account has. */
let known: Known[]
beforeAll(async () => {
  service = await startService({ queue: 'redis', workers: 0, dispatchers: 0 })
  const { accountId, apiKey } = await givenAccount(service)
  account = accountId
  call = callerOf(service.url, apiKey)
  const wanted = variety().map(([model, status, tags]) => ({ uuid: newId(), model, status, tags }))
  // What stays pending is made last: to bring one on its way takes the oldest of its model.
  for (const { uuid, model, status, tags } of wanted.toSorted((one) => (one.status === 'pending' ? 1 : -1)))
    await givenPrediction(service.db, status, { accountId, model, tags, id: uuid })
  known = wanted.toReversed().map(({ uuid, ...rest }) => ({ id: publicId(uuid), ...rest }))
})
afterAll(() => service.stop())

const list = async (query: string) => call(`GET /v1/predictions?${query}`)
const idsOf = (reply: Awaited<ReturnType<ApiCaller>>) => reply.body.data.map(({ id }: { id: string }) => id)

test('the newest come first, 15 to a page', async () => {
  const { status, body } = await list('')
  expect(status).toBe(200)
  expect(body.data.map(({ id }: { id: string }) => id)).toEqual(known.slice(0, 15).map(({ id }) => id))
  expect(body.pagination).toEqual({
    current_page: 1,
    per_page: 15,
    total: known.length,
    last_page: Math.ceil(known.length / 15),
    next_cursor: expect.any(String),
    prev_cursor: null,
  })
})

test('an empty list has one page', async () => {
  const other = callerOf(service.url, (await givenAccount(service)).apiKey)
  expect((await other('GET /v1/predictions')).body).toEqual({
    data: [],
    pagination: {
      current_page: 1,
      per_page: 15,
      total: 0,
      last_page: 1,
      next_cursor: null,
      prev_cursor: null,
    },
  })
})

describe.each<[string, (one: Known) => boolean]>([
  ['', () => true],
  ['model=echo', ({ model }) => model === 'echo'],
  ['status=succeeded', ({ status }) => status === 'succeeded'],
  ['status=failed', ({ status }) => status === 'failed'],
  ['status=cancelled', ({ status }) => status === 'cancelled'],
  ['status=pending', ({ status }) => status === 'pending'],
  ['status=starting', ({ status }) => status === 'starting'],
  ['status=processing', ({ status }) => status === 'processing'],
  ['tag.team=red', ({ tags }) => tags.team === 'red'],
  ['tag.team=red&tag.odd=yes', ({ tags }) => tags.team === 'red' && tags.odd === 'yes'],
  ['tag.team=none', () => false],
  ['model=echo&status=succeeded', ({ model, status }) => model === 'echo' && status === 'succeeded'],
  ['model=doodle&status=pending', ({ model, status }) => model === 'doodle' && status === 'pending'],
  ['model=echo&tag.team=blue', ({ model, tags }) => model === 'echo' && tags.team === 'blue'],
  ['status=failed&tag.team=red', ({ status, tags }) => status === 'failed' && tags.team === 'red'],
  ['status=pending&tag.odd=yes', ({ status, tags }) => status === 'pending' && tags.odd === 'yes'],
  [
    'model=echo&status=processing&tag.team=red',
    ({ model, status, tags }) => model === 'echo' && status === 'processing' && tags.team === 'red',
  ],
])('filtered by "%s"', (filter, fits) => {
  const wanted = () => known.filter(fits).map(({ id }) => id)

  test('each fitting prediction comes once, page by page', async () => {
    const pages = await Promise.all(
      Array.from({ length: Math.max(1, Math.ceil(wanted().length / 4)) }, (_, n) =>
        list(`${filter}&per_page=4&page=${n + 1}`),
      ),
    )
    expect(pages.flatMap(idsOf)).toEqual(wanted())
    for (const { body } of pages) expect(body.pagination.total).toBe(wanted().length)
  })

  test('and by cursor, forward and back', async () => {
    const forward = await walk(filter, 'next_cursor')
    expect(forward.flatMap(idsOf)).toEqual(wanted())
    const last = forward.at(-1)?.body.pagination.prev_cursor
    const back = last ? await walk(`${filter}&cursor=${last}`, 'prev_cursor') : []
    expect(back.toReversed().flatMap(idsOf)).toEqual(forward.slice(0, -1).flatMap(idsOf))
  })
})

async function walk(query: string, direction: 'next_cursor' | 'prev_cursor') {
  const pages = [await list(`${query}&per_page=4`)]
  for (;;) {
    const cursor = pages.at(-1)?.body.pagination[direction]
    if (!cursor) return pages
    const filter = query.replace(/&?cursor=[^&]*/, '')
    pages.push(await list(`${filter}&per_page=4&cursor=${cursor}`))
  }
}

describe('by date', () => {
  let dated: ApiCaller
  const days = ['2026-01-31', '2026-02-01', '2026-02-01', '2026-02-02', '2026-02-28']
  const ids: string[] = []
  beforeAll(async () => {
    const { accountId, apiKey } = await givenAccount(service)
    dated = callerOf(service.url, apiKey)
    await service.db.pool.query(
      `create table predictions_early partition of predictions for values from (uuid_floor('2026-01-01Z')) to (uuid_floor('2026-03-01Z'));
       create table events_early partition of prediction_events for values from (uuid_floor('2026-01-01Z')) to (uuid_floor('2026-03-01Z'))`,
    )
    for (const [n, day] of days.entries()) {
      const createdAt = new Date(`${day}T${n === 2 ? '23:59:59.999' : '12:00:00.000'}Z`)
      const id = idAt(createdAt)
      await accept(lifecycleOn(service.db), [draft({ id, accountId, createdAt })])
      ids.push(publicId(id))
    }
  })

  test.each([
    ['from=2026-02-01', [4, 3, 2, 1]],
    ['to=2026-02-01', [2, 1, 0]],
    ['from=2026-02-01&to=2026-02-01', [2, 1]],
    ['from=2026-02-01T12:00:00Z&to=2026-02-02T12:00:00Z', [3, 2, 1]],
    ['from=2026-02-01T13:00:00%2B01:00&to=2026-02-01T12:00:00.000Z', [1]],
    ['from=2026-02-03&to=2026-02-27', []],
    ['from=2026-02-01&per_page=1&page=2', [3]],
    ['to=9999-12-31', [4, 3, 2, 1, 0]],
  ])('%s', async (query, wanted) => {
    const reply = await dated(`GET /v1/predictions?${query}`)
    expect(idsOf(reply)).toEqual(wanted.map((n) => ids[n]))
  })

  const idAt = (time: Date) => {
    const hex = time.getTime().toString(16).padStart(12, '0')
    return `${hex.slice(0, 8)}-${hex.slice(8)}${newId().slice(13)}`
  }
})

test.each([
  ['per_page=0', 'INVALID_PARAMETER', 400],
  ['per_page=51', 'INVALID_PARAMETER', 400],
  ['per_page=1.5', 'INVALID_PARAMETER', 400],
  ['per_page=ten', 'INVALID_PARAMETER', 400],
  ['per_page=5&per_page=6', 'INVALID_PARAMETER', 400],
  ['page=0', 'INVALID_PARAMETER', 400],
  ['page=-1', 'INVALID_PARAMETER', 400],
  ['page=99999999999999999999', 'INVALID_PARAMETER', 400],
  ['page=668', 'INVALID_PARAMETER', 400],
  ['page=201&per_page=50', 'INVALID_PARAMETER', 400],
  ['cursor=nonsense', 'INVALID_PARAMETER', 400],
  [
    `cursor=${Buffer.from('after:file_01h455vb4pex5vsknk084sn02q').toString('base64url')}`,
    'INVALID_PARAMETER',
    400,
  ],
  ['cursor=', 'INVALID_PARAMETER', 400],
  ['page=1&cursor=x', 'INVALID_PARAMETER_COMBINATION', 400],
  ['status=done', 'INVALID_PARAMETER', 400],
  ['status=canceled', 'INVALID_PARAMETER', 400],
  ['from=yesterday', 'INVALID_DATE_FORMAT', 400],
  ['from=2026-02-31', 'INVALID_DATE_FORMAT', 400],
  ['to=2026-13-01', 'INVALID_DATE_FORMAT', 400],
  ['to=2026-02-31T00:00:00Z', 'INVALID_DATE_FORMAT', 400],
  ['from=2026-02-02&to=2026-02-01', 'INVALID_DATE_RANGE', 400],
  ['model=no-such', 'MODEL_NOT_FOUND', 404],
])('%s is refused', async (query, id, status) => {
  expect(refusalOf(await list(query))).toMatchObject({ status, id })
})

test('a page deeper than 10,000 rows names the cursor as the way', async () => {
  const reply = await list('page=668')
  expect(reply.body.error.message).toContain('cursor')
  expect((await list('page=667')).status).toBe(200)
})

test('odd values in filters find nothing', async () => {
  for (const query of ['tag.team=%00', 'tag.%00=x', 'tag.team=%ED%A0%80', 'tag.=x', 'tag.team='])
    expect([query, (await list(query)).body.data]).toEqual([query, []])
})

test('values over 64 KB are left out of lists and named; get shows them', async () => {
  const { accountId, apiKey } = await givenAccount(service)
  const large = { text: 'x'.repeat(65 * 1024) }
  const { id } = await givenPrediction(service.db, 'succeeded', { accountId, input: large })
  const own = callerOf(service.url, apiKey)

  const [listed] = (await own('GET /v1/predictions')).body.data
  const shown = (await own(`GET /v1/predictions/${publicId(id)}`)).body

  expect(listed).toMatchObject({ input: null, output: 'hello', metadata: { truncated: ['input'] } })
  expect(shown.input).toEqual(large)
  expect(shown.metadata).not.toHaveProperty('truncated')
})

test('a deleted prediction leaves every list', async () => {
  const { accountId, apiKey } = await givenAccount(service)
  const own = callerOf(service.url, apiKey)
  const tags = { team: 'gone' }
  const { id } = await givenPrediction(service.db, 'succeeded', { accountId, tags, model: 'upscale' })
  await own(`DELETE /v1/predictions/${publicId(id)}`)

  for (const query of ['', 'status=succeeded', 'tag.team=gone', 'model=upscale'])
    expect((await own(`GET /v1/predictions?${query}`)).body).toMatchObject({
      data: [],
      pagination: { total: 0 },
    })
})

test('of another account nothing is listed', () => {
  expect(account).not.toBe(service.accountId)
  return expect(callerOf(service.url, service.apiKey)('GET /v1/predictions')).resolves.toMatchObject({
    body: { data: [] },
  })
})

/** Models, statuses and tags in all combinations. */
function variety() {
  return (['succeeded', 'pending', 'failed', 'starting', 'cancelled', 'processing'] as const).flatMap(
    (status, s) =>
      ['echo', 'doodle'].flatMap((model) =>
        ['red', 'blue'].map((team, t): [string, typeof status, Record<string, string>] => [
          model,
          status,
          (s + t) % 2 ? { team, odd: 'yes' } : { team },
        ]),
      ),
  )
}

interface Known {
  id: string
  model: string
  status: string
  tags: Record<string, string>
}
