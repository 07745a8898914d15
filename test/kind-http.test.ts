import { readFile } from 'node:fs/promises'
import { describeSettings } from '@millrace/models/description'
import { createGuard } from '@millrace/outbound/guard'
import { isFileValue } from '@millrace/providers/output-parts'
import { expect, test } from 'vitest'
import { deltasOf } from './conformance-run.ts'
import { givenServer, runHttp } from './given-http.ts'
import { until } from './harness/wait.ts'

test('where the description says nothing, the input is the body and the answer is the output', async () => {
  const host = await givenServer(({ body }) => ({ got: body }))
  const { outcome } = await runHttp({ url: host.url }, { text: 'hello', list: [1] })
  expect(await outcome).toMatchObject({ kind: 'succeeded', output: { got: { text: 'hello', list: [1] } } })
  expect(host.asked).toMatchObject([{ method: 'POST', path: '/' }])
})

test('a GET takes the request as its query', async () => {
  const host = await givenServer(() => 'found')
  const request = { q: '{{ input.text }}', lang: '{{ input.lang }}', tag: '{{ input.tags }}', n: 2 }
  const { outcome } = await runHttp(
    { url: `${host.url}/find?key=1`, method: 'GET', request },
    { text: 'a&b', tags: ['x', 'y'] },
  )
  expect(await outcome).toMatchObject({ kind: 'succeeded', output: 'found' })
  expect(host.asked).toMatchObject([
    { method: 'GET', path: '/find?key=1&q=a%26b&tag=x&tag=y&n=2', body: undefined },
  ])
})

test.each([
  '@evil.test/',
  '//evil.test',
  '\\evil.test',
  'a/../../b',
  '?x#y',
  'http://evil.test/',
  '.evil.test',
  '%2e%2e',
])('an input has no say in the host nor in the folder of a url: %s', async (name) => {
  const host = await givenServer(({ path }) => path)
  const { outcome } = await runHttp({ url: `${host.url}/models/{{ input.name }}/run`, request: {} }, { name })
  expect(await outcome).toMatchObject({ output: `/models/${encodeURIComponent(name)}/run` })
})

test.each(['..', '.'])('an input that would lead out of the folder of a url is refused: %s', async (name) => {
  const host = await givenServer(({ path }) => path)
  const { outcome } = await runHttp({ url: `${host.url}/models/{{ input.name }}/run` }, { name })
  expect(await outcome).toMatchObject({ kind: 'failed', code: 'MODEL_ERROR' })
  expect(host.asked).toEqual([])
})

test.each([
  ['{{ input.url }}', /provider\.url/],
  ['http://{{ input.host }}/', /provider\.url/],
  ['http://host{{ input.x }}/', /provider\.url/],
  ['http:///{{ input.host }}/', /provider\.url/],
  ['http://user:{{ input.x }}@host/', /provider\.url/],
  [`\${BASE}{{ input.x }}`, /provider\.url/],
  ['http://host/{{ body.x }}', /must start with input/],
])('a description whose url leaves the host to the input is refused: %s', (url, why) => {
  const stated = {
    namespace: 'x',
    type: 'text',
    input_schema: { type: 'object' },
    provider: { kind: 'http', url },
  }
  expect(() => describeSettings('/models/x.json', stated)).toThrow(why)
})

test('a variable that is no whole base cannot hand the host over either', async () => {
  const { outcome } = await runHttp(
    { url: `\${BASE}/{{ input.x }}` },
    { x: 'evil.test' },
    { options: { environment: { BASE: 'http:/' } } },
  )
  expect(await outcome).toMatchObject({ kind: 'failed' })
})

test('a variable that this worker lacks is named', async () => {
  const { outcome } = await runHttp(
    { url: 'http://127.0.0.1:9', headers: { authorization: `\${NO_SUCH_KEY}` } },
    {},
  )
  expect(await outcome).toEqual({ kind: 'unavailable', reason: expect.stringMatching(/NO_SUCH_KEY/) })
})

test('a key that a host quotes is in nothing that is said', async () => {
  const key = 'key-of-the-host-123'
  const host = await givenServer(({ headers, path }, response) => {
    if (path === '/echo') return { echo: headers.authorization }
    response.statusCode = 401
    return { error: `${headers.authorization} is no key` }
  })
  const how = { options: { environment: { KEY: key } } }
  const headers = { authorization: `Bearer \${KEY}` }
  const refused = await runHttp({ url: host.url, headers }, {}, how)
  expect(await refused.outcome).toEqual({
    kind: 'unavailable',
    reason: 'The host answered HTTP 401: Bearer *** is no key',
  })
  const echoed = await runHttp({ url: `${host.url}/echo`, headers }, {}, how)
  expect(await echoed.outcome).toMatchObject({ kind: 'succeeded', output: { echo: 'Bearer ***' } })
})

test.each([
  ['url', (url: string) => url],
  ['data', () => 'data:image/png;base64,Ynl0ZXM='],
  ['base64', () => 'Ynl0ZXM='],
])('a file is passed on as the description says: %s', async (files, passed) => {
  const pictures = await givenServer(
    (_, response) => void response.setHeader('content-type', 'image/png').end('bytes'),
  )
  const host = await givenServer(({ body }) => body)
  const url = `${pictures.url}/picture.png`
  const { outcome } = await runHttp({ url: host.url, files, response: { output: 'done' } }, { image: url })
  expect(await outcome).toMatchObject({ kind: 'succeeded' })
  expect(host.asked).toMatchObject([{ body: { image: passed(url) } }])
})

test.each([
  ['data:image/png;base64,-_8', '+/8='],
  ['data:image/png;base64,Ynl0\nZXM=', 'Ynl0ZXM='],
  ['data:image/png,%89PNG', 'iVBORw=='],
])('a host that takes base64 gets %j in the spelling that every host reads', async (image, passed) => {
  const host = await givenServer(() => 'done')
  const { outcome } = await runHttp({ url: host.url, files: 'base64' }, { image })
  expect(await outcome).toMatchObject({ kind: 'succeeded' })
  expect(host.asked).toMatchObject([{ body: { image: passed } }])
})

test('a broken data URL reaches no host that takes base64', async () => {
  const host = await givenServer(() => 'done')
  const { outcome } = await runHttp(
    { url: host.url, files: 'base64' },
    { image: 'data:image/png;base64,a*b' },
  )
  expect(await outcome).toMatchObject({ kind: 'failed', detail: 'A data URL of the input cannot be read.' })
  expect(host.asked).toEqual([])
})

test("a client's file inside of the host's network is not fetched for it, nor with its key", async () => {
  const host = await givenServer(() => 'taken')
  const guard = createGuard({ allow: [], loopback: false })
  const image = `${host.url}/secret.png`
  const { outcome } = await runHttp(
    { url: host.url, files: 'data', headers: { key: `\${KEY}` } },
    { image },
    { options: { guard, environment: { KEY: 'k' } } },
  )
  expect(await outcome).toMatchObject({ kind: 'failed', code: 'MODEL_ERROR' })
  expect(host.asked).toEqual([])
})

test('an answer that is neither JSON nor text is a file', async () => {
  const host = await givenServer(
    (_, response) => void response.setHeader('content-type', 'image/png').end('picture'),
  )
  const { outcome } = await runHttp({ url: host.url, response: { output: ['{{ body }}'] } }, {})
  const ended = await outcome
  expect(ended).toMatchObject({ output: [{ name: 'output.png', contentType: 'image/png' }] })
  const [file] = ended.kind === 'succeeded' && Array.isArray(ended.output) ? ended.output : []
  expect(isFileValue(file) && (await readFile(file.$file, 'utf8'))).toBe('picture')
})

test('an output that is too large to be shown is refused, and as a file it is kept', async () => {
  const large = 'x'.repeat(9 << 20)
  const host = await givenServer(({ path }) => (path === '/file' ? `data:text/plain,${large}` : large))
  const shown = await runHttp({ url: host.url }, {})
  expect(await shown.outcome).toMatchObject({ kind: 'failed', code: 'INVALID_OUTPUT' })
  const kept = await runHttp({ url: `${host.url}/file` }, {})
  expect(await kept.outcome).toMatchObject({ kind: 'succeeded', output: { name: 'output.txt' } })
})

test('a schema of the output says which addresses are files', async () => {
  const host = await givenServer(({ path, method }, response) =>
    method === 'GET' ? void response.end(path) : { image: `${host.url}/a.png`, source: `${host.url}/page` },
  )
  const properties = { image: { type: 'string', format: 'uri' }, source: { type: 'string' } }
  const traits = { output_schema: { type: 'object', properties } }
  const { outcome } = await runHttp({ url: host.url }, {}, { traits })
  expect(await outcome).toMatchObject({ output: { image: { name: 'a.png' }, source: `${host.url}/page` } })
})

test('JSON lines are streamed as events are, and the last whole output wins', async () => {
  const host = await givenServer((_, response) => {
    response.setHeader('content-type', 'application/x-ndjson')
    response.end('{"response":"a "}\n{"response":"mill"}\n{"done":true,"whole":{"text":"a mill","tokens":2}}')
  })
  const response = { stream: { delta: '{{ body.response }}' }, output: '{{ body.whole }}' }
  const { outcome, events } = await runHttp({ url: host.url, response }, {})
  expect(await outcome).toMatchObject({ kind: 'succeeded', output: { text: 'a mill', tokens: 2 } })
  expect(deltasOf(events)).toEqual(['a ', 'mill'])
})

test("a stream that breaks off may have been the whole work, and an error in it is the model's", async () => {
  const host = await givenServer(({ path }, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    if (path === '/error') response.end('data: {"error":{"message":"no paint"}}\n\n')
    else response.write('data: {"t":"half"}\n\n', () => response.destroy())
  })
  const response = { stream: { delta: '{{ body.t }}' }, error: '{{ body.error }}' }
  const broken = await runHttp({ url: host.url, response }, {})
  expect(await broken.outcome).toMatchObject({ kind: 'unavailable', uncertain: true })
  const failed = await runHttp({ url: `${host.url}/error`, response }, {})
  expect(await failed.outcome).toEqual({ kind: 'failed', code: 'MODEL_ERROR', detail: 'no paint' })
})

test('a model that is closed in mid-run leaves its run for another worker', async () => {
  const host = await givenServer(() => undefined)
  const { outcome, close } = await runHttp({ url: host.url }, {})
  await until(() => host.asked.length === 1, { what: 'the host to be asked' })
  await close()
  expect(await outcome).toEqual({ kind: 'aborted' })
})
