import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { type ApiCaller, callerOf, refusalOf } from './api-caller.ts'
import { givenAccount } from './given-accounts.ts'
import { type Service, startService } from './harness/service.ts'
import { until } from './harness/wait.ts'

let service: Service
let call: ApiCaller
beforeAll(async () => {
  service = await startService({ queue: 'redis', dispatchers: 0 })
  call = callerOf(service.url, service.apiKey)
})
afterAll(() => service.stop())

test('every prediction of a filter is a line, newest first, whole', async () => {
  const made = await Promise.all(
    Array.from({ length: 450 }, async (_, n) => {
      const tags = { half: n % 2 === 0 ? 'even' : 'odd' }
      return (await call('POST /v1/predictions', { body: { model: 'echo', input: { n }, tags } })).body
        .id as string
    }),
  )
  const big = 'x'.repeat(100_000)
  const { body: last } = await call('POST /v1/predictions', {
    body: { model: 'echo', input: { big }, await: true },
  })
  await until(
    async () => (await call('GET /v1/predictions?status=succeeded')).body.pagination.total === 451,
    {
      what: 'their ends',
      within: 30_000,
    },
  )

  const all = await lines('')
  expect(all.map(({ id }) => id)).toEqual([last.id, ...made.sort().reverse()])
  expect(all[0].output, 'also what lists leave out').toEqual({ big })
  expect(await lines('?tag.half=even')).toHaveLength(225)
  expect(await lines('?status=failed')).toEqual([])
  expect(await lines('?model=echo&status=succeeded')).toHaveLength(451)
})

test('it shows nothing of another account', async () => {
  const stranger = callerOf(service.url, (await givenAccount(service)).apiKey)
  expect(await stranger('GET /v1/predictions/export')).toMatchObject({ status: 200, text: '' })
})

test('memory holds a part of a page, however large its predictions are', async () => {
  const narrow = await startService({
    queue: 'redis',
    workers: 0,
    dispatchers: 0,
    env: { NODE_OPTIONS: '--max-old-space-size=240' },
  })
  onTestFinished(() => narrow.stop())
  const own = callerOf(narrow.url, narrow.apiKey)
  for (let n = 0; n < 30; n++) await own('POST /v1/predictions', { body: { model: 'echo', input: { n } } })
  await narrow.db.pool.query(`update predictions set input = json_build_object('big', repeat('x', 9000000))`)

  const answer = await fetch(`${narrow.url}/v1/predictions/export`, {
    headers: { 'x-api-key': narrow.apiKey },
  })
  let lines = 0
  for await (const part of answer.body ?? []) {
    const bytes = Buffer.from(part)
    for (let at = bytes.indexOf(10); at !== -1; at = bytes.indexOf(10, at + 1)) lines += 1
  }
  expect(lines).toBe(30)
}, 120_000)

test.each([
  ['status=done', 'INVALID_PARAMETER'],
  ['from=yesterday', 'INVALID_DATE_FORMAT'],
  ['model=nobody', 'MODEL_NOT_FOUND'],
])('a filter that cannot be met is refused: %s', async (query, id) => {
  expect(refusalOf(await call(`GET /v1/predictions/export?${query}`)).id).toBe(id)
})

async function lines(query: string) {
  const { text, headers } = await call(`GET /v1/predictions/export${query}`)
  expect(headers.get('content-type')).toBe('application/x-ndjson')
  return text === ''
    ? []
    : text
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line))
}
