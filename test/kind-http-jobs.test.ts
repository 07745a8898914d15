import { expect, test } from 'vitest'
import { givenServer, runHttp } from './given-http.ts'
import { until } from './harness/wait.ts'

const poll = {
  url: '/jobs/{{ job.id }}',
  status: '{{ body.status }}',
  output: '{{ body.output }}',
  every_seconds: 0.01,
  cancel: { url: '/jobs/{{ job.id }}/cancel' },
}

test('a job is noted before it is asked for, and its host hears of a job that could not be noted', async () => {
  const order: string[] = []
  const host = await givenServer(({ method, path }) => {
    order.push(`${method} ${path}`)
    return method === 'POST' ? { id: 'j1' } : { status: 'done', output: 'made' }
  })
  const noted = await runHttp(
    { url: host.url, poll },
    {},
    { keep: async (job) => void order.push(JSON.stringify(job)) },
  )
  expect(await noted.outcome).toMatchObject({ kind: 'succeeded', output: 'made' })
  expect(order).toEqual(['POST /', '{"answer":{"id":"j1"}}', 'GET /jobs/j1'])

  order.length = 0
  const lost = await runHttp({ url: host.url, poll }, {}, { keep: () => Promise.reject(new Error('lost')) })
  expect(await lost.outcome).toMatchObject({ kind: 'unavailable' })
  expect(order).toEqual(['POST /', 'POST /jobs/j1/cancel'])
})

test('a large answer to a submit is kept by its short fields', async () => {
  const host = await givenServer(({ method }) =>
    method === 'POST'
      ? { id: 'j1', echo: 'x'.repeat(9000), nested: { a: 1 } }
      : { status: 'done', output: 'made' },
  )
  const { outcome, kept } = await runHttp({ url: host.url, poll }, {})
  expect(await outcome).toMatchObject({ kind: 'succeeded' })
  expect(kept).toEqual([{ answer: { id: 'j1' } }])
})

test('a cancel that comes while a job is created waits for its name, and cancels it', async () => {
  const named = Promise.withResolvers<object>()
  const host = await givenServer(({ path }) => (path === '/' ? named.promise : {}))
  const { outcome, abort } = await runHttp({ url: host.url, poll }, {})
  await until(() => host.asked.length === 1, { what: 'the job to be asked for' })
  abort('cancel')
  named.resolve({ id: 'j1' })
  expect(await outcome).toEqual({ kind: 'aborted' })
  expect(host.asked.map(({ path }) => path)).toEqual(['/', '/jobs/j1/cancel'])
})

test('polls that fail are made again, when the host says, and only in the end are they a fault', async () => {
  const host = await givenServer(({ method, path }, response) => {
    if (method === 'POST') return { id: path === '/away' ? 'away' : 'j1' }
    if (path !== '/jobs/away' && host.asked.length === 4) return { status: 'done', output: 'made' }
    response.statusCode = 503
    response.setHeader('retry-after-ms', '1')
    return {}
  })
  // The host's word is obeyed: by the description the next poll would be due in an hour.
  const slow = { ...poll, every_seconds: 3600 }
  const well = await runHttp({ url: host.url, poll: slow }, {}, { job: { answer: { id: 'j1' } } })
  expect(await well.outcome).toMatchObject({ kind: 'succeeded', output: 'made' })
  const away = await runHttp({ url: `${host.url}/away`, poll }, {})
  expect(await away.outcome).toMatchObject({ kind: 'unavailable', down: true })
})

test('a job that its host has forgotten is made anew, but for models that may not run twice', async () => {
  const host = await givenServer(({ method, path }, response) => {
    if (method === 'POST') return { id: 'new' }
    if (path === '/jobs/new') return { status: 'done', output: 'made' }
    response.statusCode = 404
    return {}
  })
  const job = { answer: { id: 'old' } }
  const again = await runHttp({ url: host.url, poll }, {}, { job })
  expect(await again.outcome).toMatchObject({ kind: 'succeeded', output: 'made' })
  const never = await runHttp({ url: host.url, poll }, {}, { job, traits: { rerun: 'never' } })
  expect(await never.outcome).toMatchObject({ kind: 'unavailable', uncertain: true })
  expect(host.asked.filter(({ method }) => method === 'POST')).toHaveLength(1)
})

test('a host that names another host for its job is not followed there', async () => {
  const other = await givenServer(() => ({ status: 'done', output: 'made' }))
  const host = await givenServer(() => ({ next: `${other.url}/jobs/1` }))
  const { outcome, kept } = await runHttp(
    { url: host.url, headers: { key: `\${KEY}` }, poll: { ...poll, url: '{{ job.next }}' } },
    {},
    { options: { environment: { KEY: 'k' } } },
  )
  expect(await outcome).toMatchObject({ kind: 'failed', code: 'INVALID_OUTPUT' })
  expect(kept).toEqual([])
  expect(other.asked).toEqual([])
})

test('without a status, an output is the end and an error as well', async () => {
  let asked = 0
  const host = await givenServer(({ method, path }) => {
    if (method === 'POST') return { id: path.slice(1) }
    asked += 1
    return asked % 3 ? {} : path === '/jobs/bad' ? { error: 'no paint' } : { images: ['one'] }
  })
  const searching = {
    url: poll.url,
    every_seconds: 0.01,
    output: '{{ body.images[*] }}',
    error: '{{ body.error }}',
  }
  const good = await runHttp({ url: `${host.url}/good`, poll: searching }, {})
  expect(await good.outcome).toMatchObject({ kind: 'succeeded', output: ['one'] })
  const bad = await runHttp({ url: `${host.url}/bad`, poll: searching }, {})
  expect(await bad.outcome).toMatchObject({ kind: 'failed', detail: 'no paint' })
})

test('a host that can only report needs an address to report to', async () => {
  const { outcome } = await runHttp(
    { url: 'http://127.0.0.1:9', callback: { status: '{{ body.status }}' } },
    {},
  )
  expect(await outcome).toEqual({ kind: 'unavailable', reason: expect.stringMatching(/PUBLIC_URL/) })
})
