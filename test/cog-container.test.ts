import { readFile } from 'node:fs/promises'
import { describeSettings } from '@millrace/models/description'
import { expect, onTestFinished, test } from 'vitest'
import { parse } from 'yaml'
import { startReceiver } from './harness/receiver.ts'
import { until } from './harness/wait.ts'
import { type ContainerOptions, startCogContainer } from './hosts/cog-container.ts'
import { givenProvider } from './hosts/given-host-run.ts'

/** The container of the tests keeps to the public contract: what is shown here is what the contract says. */
async function givenContainer(options: ContainerOptions = {}) {
  const container = await startCogContainer(options)
  onTestFinished(() => container.close())
  const ask = (
    path: string,
    request: { method?: string; body?: unknown; headers?: Record<string, string> } = {},
  ) =>
    fetch(`${container.url}${path}`, {
      method: request.method ?? 'GET',
      ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
      headers: { 'content-type': 'application/json', ...request.headers },
    })
  const told = async (path: string, request: Parameters<typeof ask>[1] = {}) => {
    const response = await ask(path, request)
    return { status: response.status, body: (await response.json()) as Record<string, unknown> }
  }
  return { ...container, ask, told, container }
}

const background = { prefer: 'respond-async' }
const stream = { accept: 'application/json, text/event-stream' }

test('tells what it is, how it is and what it takes', async () => {
  const { told, container } = await givenContainer()
  expect((await told('/')).body).toMatchObject({ predictions_idempotent_url: '/predictions/{prediction_id}' })
  expect(await told('/health-check')).toMatchObject({ status: 200, body: { status: 'READY' } })
  const { body } = await told('/openapi.json')
  expect(body).toMatchObject({
    components: { schemas: { Input: { required: ['do'] }, Output: { type: 'array' } } },
  })
  await told('/predictions/a', { method: 'PUT', body: { input: { do: 'hang' } }, headers: background })
  expect((await told('/health-check')).body).toMatchObject({ status: 'BUSY' })
  container.becomes('starting')
  expect((await told('/openapi.json')).status).toBe(503)
  expect((await told('/predictions', { method: 'POST', body: { input: { do: 'succeed' } } })).status).toBe(
    503,
  )
})

test('refuses what it must', async () => {
  const { told } = await givenContainer({ maxSubscribers: 0 })
  const put = (body: unknown, headers = {}) => told('/predictions/a', { method: 'PUT', body, headers })
  expect(await put({ id: 'b' })).toMatchObject({ status: 422, body: { detail: [{ loc: ['body', 'id'] }] } })
  expect(await put({ context: { a: 1 } })).toMatchObject({ status: 422 })
  expect(await put({ input: null })).toMatchObject({
    status: 422,
    body: { detail: [{ loc: ['body', 'input', 'do'] }] },
  })
  expect(await told('/predictions/none/cancel', { method: 'POST' })).toEqual({ status: 404, body: {} })
  expect(await put({ input: { do: 'hang' } }, background)).toEqual({
    status: 202,
    body: { id: 'a', status: 'starting' },
  })
  expect(await put({ input: { do: 'fail' } })).toMatchObject({ status: 202, body: { id: 'a', metrics: {} } })
  expect(await put({ input: { do: 'hang' } }, stream)).toMatchObject({ status: 429 })
  expect(await told('/predictions', { method: 'POST', body: { input: { do: 'succeed' } } })).toMatchObject({
    status: 409,
    body: { error: 'At capacity - all prediction slots busy', status: 'failed' },
  })
})

test('answers, streams and forgets', async () => {
  const { ask, told } = await givenContainer()
  const post = { method: 'POST', body: { input: { do: 'stream', text: 'a b', unknown: 1 } } }
  expect(await told('/predictions', post)).toMatchObject({
    status: 200,
    body: { output: ['a ', 'b'], status: 'succeeded', metrics: { predict_time: expect.any(Number) } },
  })
  const events = await (await ask('/predictions', { ...post, headers: stream })).text()
  expect([...events.matchAll(/^event: (\w+)/gm)].map(([, name]) => name)).toEqual([
    'start',
    'output',
    'output',
    'completed',
  ])
  expect(events).toContain('data: {"chunk":"b","index":1}')
  const failed = await told('/trainings/x', {
    method: 'PUT',
    body: { input: { do: 'fail', text: 'no' } },
    headers: stream,
  })
  expect(failed).toMatchObject({ status: 200, body: { error: 'no', status: 'failed', logs: '' } })
  expect((await told('/predictions/x/cancel', { method: 'POST' })).status).toBe(404)
})

test('cancels what nobody waits for', async () => {
  const { ask, container } = await givenContainer({ capacity: 2 })
  for (const headers of [{}, stream]) {
    const leaving = new AbortController()
    const asked = fetch(`${container.url}/predictions`, {
      method: 'POST',
      body: JSON.stringify({ input: { do: 'hang' } }),
      headers,
      signal: leaving.signal,
    }).then((response) => response.text())
    await until(() => container.running().length === 1, { what: 'the prediction' })
    leaving.abort()
    await expect(asked).rejects.toThrow()
    await until(() => container.running().length === 0, { what: 'its end' })
  }
  expect(await container.cancelled()).toBe(2)
  expect((await ask('/shutdown', { method: 'POST' })).status).toBe(200)
})

test('reports with its token, and reports the end again to a receiver that is away', async () => {
  const { told } = await givenContainer({ webhookToken: 'bearer-token', webhookRetryMs: 1 })
  const receiver = await startReceiver((_, index) => ({ status: index < 3 ? 503 : 200 }))
  onTestFinished(() => receiver.close())
  const body = {
    input: { do: 'succeed', text: 'x' },
    webhook: receiver.url,
    webhook_events_filter: ['start', 'completed'],
  }
  await told('/predictions/w', { method: 'PUT', body, headers: { ...background, traceparent: '00-a-b-01' } })
  const posts = await receiver.received(4)
  const statuses = posts.map(({ body: said }) => (JSON.parse(said) as { status: string }).status)
  expect(statuses.filter((status) => status === 'succeeded')).toHaveLength(3)
  expect(posts[0]?.headers).toMatchObject({
    authorization: 'Bearer bearer-token',
    traceparent: '00-a-b-01',
    'user-agent': 'coglet/0.17.0',
  })
})

test('the recipe of docs/hosts.md runs as it is written', async () => {
  const page = await readFile(new URL('../docs/hosts.md', import.meta.url), 'utf8')
  const recipe = /^## cog$.*?^```yaml\n(.*?)^```$/ms.exec(page)?.[1] ?? ''
  const { container } = await givenContainer({ streaming: false })
  // The model of the recipe is somebody's; here its inputs tell the container what to do.
  const stated = parse(recipe.replace('http://localhost:5000', container.url)) as Record<string, unknown>
  const provider = await givenProvider(describeSettings('/models/restore.yaml', stated))
  onTestFinished(() => provider[Symbol.asyncDispose]())
  const { outcome } = provider.run({ do: 'file', text: 'mended', image: 'https://example.com/old.png' })
  expect(await outcome).toMatchObject({ kind: 'succeeded', output: { $file: expect.any(String) } })
})
