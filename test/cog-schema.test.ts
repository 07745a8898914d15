import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cogSchema } from '@millrace/models/cog-schema'
import { type LiveCatalogue, openCatalogue } from '@millrace/models/live-catalogue'
import { createValidator } from '@millrace/models/validate'
import { freePort } from '@millrace/standalone/ports'
import { expect, onTestFinished, test } from 'vitest'
import { callerOf, refusalOf } from './api-caller.ts'
import { startService } from './harness/service.ts'
import { until } from './harness/wait.ts'

/** As a Cog container writes it. */
const documentOf = (most: number) => ({
  openapi: '3.0.2',
  components: {
    schemas: {
      Input: {
        type: 'object',
        title: 'Input',
        required: ['prompt'],
        properties: {
          prompt: { type: 'string', title: 'Prompt', 'x-order': 0, description: 'What to draw' },
          steps: { type: 'integer', title: 'Steps', default: 20, minimum: 1, maximum: most, 'x-order': 1 },
          scheduler: {
            allOf: [{ $ref: '#/components/schemas/scheduler' }],
            default: 'DDIM',
            description: 'How',
            'x-order': 2,
          },
          image: { type: 'string', format: 'uri', nullable: true, 'x-order': 3 },
        },
      },
      Output: { type: 'array', items: { $ref: '#/components/schemas/Picture' }, title: 'Output' },
      Picture: { type: 'string', format: 'uri' },
      scheduler: {
        type: 'string',
        title: 'scheduler',
        enum: ['DDIM', 'K_EULER'],
        description: 'An enumeration.',
      },
      Loop: { type: 'object', properties: { again: { $ref: '#/components/schemas/Loop' } } },
    },
  },
})

test('the schemas of a container stand by themselves, with choices where forms look for them', () => {
  const schema = cogSchema(documentOf(50))
  expect(schema?.output).toEqual({ type: 'array', items: { type: 'string', format: 'uri' }, title: 'Output' })
  expect(schema?.input).toMatchObject({
    required: ['prompt'],
    properties: {
      scheduler: { enum: ['DDIM', 'K_EULER'], default: 'DDIM', description: 'How' },
      image: { type: ['string', 'null'], format: 'uri' },
    },
  })
  expect(JSON.stringify(schema)).not.toContain('$ref')
  const validate = createValidator({ input_schema: schema?.input ?? {} })
  expect(validate({ prompt: 'a mill', image: null })).toEqual({
    ok: true,
    input: { prompt: 'a mill', image: null, steps: 20, scheduler: 'DDIM' },
  })
  expect(validate({ scheduler: 'none' })).toMatchObject({
    ok: false,
    fields: [{ path: 'prompt' }, { path: 'scheduler' }],
  })
})

test.each([
  ['no document', undefined],
  ['no schemas', { components: {} }],
  ['an error', { error: 'OpenAPI schema not available' }],
])('%s tells no schema', (_, document) => {
  expect(cogSchema(document)).toBeUndefined()
})

test('a schema that contains itself ends', () => {
  const document = documentOf(50)
  Object.assign(document.components.schemas.Input.properties, { loop: { $ref: '#/components/schemas/Loop' } })
  expect(cogSchema(document)?.input).toMatchObject({
    properties: { loop: { properties: { again: {} } } },
  })
})

test('a schema that stands for more than anybody can hold is refused', () => {
  const depth = 40
  const both = (n: number) => ({ $ref: `#/components/schemas/L${n + 1}` })
  const levels = Array.from({ length: depth }, (_, n) => [
    `L${n}`,
    { type: 'object', properties: { a: both(n), b: both(n) } },
  ])
  const Input = { type: 'object', properties: { a: { $ref: '#/components/schemas/L0' } } }
  const schemas = { Input, ...Object.fromEntries(levels), [`L${depth}`]: { type: 'string' } }
  expect(() => cogSchema({ components: { schemas } })).toThrow('stands for more than 50000 values')
})

test('a document without end is not read to its end, and the catalogue says so', async () => {
  const host = createServer((_request, response) => {
    response.setHeader('content-type', 'application/json').write('"')
    const part = Buffer.alloc(64 * 1024, 'x')
    const more = () => {
      while (!response.destroyed && response.write(part));
    }
    response.on('drain', more)
    more()
  }).listen(0, '127.0.0.1')
  await once(host, 'listening')
  const dir = await mkdtemp(join(tmpdir(), 'millrace-cog-'))
  onTestFinished(async () => {
    host.closeAllConnections()
    host.close()
    await rm(dir, { recursive: true })
  })
  const { port } = host.address() as AddressInfo
  const provider = { kind: 'cog', url: `http://127.0.0.1:${port}` }
  await writeFile(join(dir, 'a.json'), JSON.stringify({ namespace: 'a', type: 'text', provider }))

  const problems: { reason: string }[] = []
  const catalogue = await openCatalogue({
    dirs: [dir],
    testModels: false,
    onProblem: (problem) => problems.push(problem),
  })
  catalogue.close()
  expect(problems).toMatchObject([{ reason: expect.stringContaining('openapi.json is larger than 8 MB') }])
})

test('a text that comes in parts may be one text', () => {
  const document = documentOf(50)
  Object.assign(document.components.schemas, {
    Output: {
      type: 'array',
      items: { type: 'string' },
      'x-cog-array-type': 'iterator',
      'x-cog-array-display': 'concatenate',
    },
  })
  expect(cogSchema(document)?.output).toMatchObject({ type: ['string', 'array'] })
})

test('a catalogue asks a container until it answers, and notices another answer', async () => {
  const port = await freePort()
  const problems: string[] = []
  const catalogue = await openCatalogue({
    dirs: [await givenFolder(`http://127.0.0.1:${port}/`)],
    testModels: false,
    onProblem: ({ reason }) => problems.push(reason),
    everyMs: 20,
    schemas: { oftenMs: 20, seldomMs: 20 },
  })
  onTestFinished(() => catalogue.close())
  const changes: string[][] = []
  catalogue.listen(({ changed }) => changes.push(changed))
  expect(catalogue.find('drawer')).toMatchObject({ statesInput: false })
  expect(problems).toEqual(['Its container has not told its schema: ECONNREFUSED'])

  let most = 50
  const server = await givenContainer(port, () => documentOf(most))
  const first = await known(catalogue, 50)
  most = 60
  const second = await known(catalogue, 60)

  expect(second.versionId).not.toBe(first.versionId)
  expect(changes).toEqual([['drawer'], ['drawer']])
  expect(catalogue.problems).toEqual([])
  // Away again: what it told still holds.
  server.close()
  server.closeAllConnections()
  await until(() => catalogue.find('drawer') === second, { what: 'nothing to change' })
})

test('until its container answers a model is offline and creates are refused', async () => {
  const port = await freePort()
  const service = await startService({
    queue: 'postgres',
    workers: 0,
    dispatchers: 0,
    env: { MODELS_DIR: await givenFolder(`http://127.0.0.1:${port}`) },
  })
  onTestFinished(() => service.stop())
  const call = callerOf(service.url, service.apiKey)
  const create = () =>
    call('POST /v1/predictions', { body: { model: 'drawer', input: { prompt: 'a mill' } } })
  const refused = await create()
  expect(refusalOf(refused)).toMatchObject({ status: 503, id: 'SERVICE_UNAVAILABLE' })
  expect(refused.headers.get('retry-after')).toBeTruthy()
  expect((await call('GET /v1/models/drawer')).body.status).toBe('offline')

  await givenContainer(port, () => documentOf(50))
  await until(async () => (await call('GET /v1/models/drawer')).body.status === 'operational', {
    what: 'the model to be operational',
  })
  expect((await create()).body.input).toMatchObject({ steps: 20, scheduler: 'DDIM' })
}, 60_000)

function known(catalogue: LiveCatalogue, most: number) {
  return until(
    () => {
      const model = catalogue.find('drawer')
      return JSON.stringify(model?.input_schema ?? {}).includes(`"maximum":${most}`) && model
    },
    { what: `the schema with at most ${most} steps` },
  )
}

async function givenFolder(url: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-cog-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const description = { namespace: 'drawer', type: 'image', provider: { kind: 'cog', url } }
  await writeFile(join(folder, 'drawer.json'), JSON.stringify(description))
  return folder
}

/** The part of a container that tells what its model takes. */
async function givenContainer(port: number, document: () => unknown): Promise<Server> {
  const server = createServer((request, response) => {
    response.writeHead(request.url === '/openapi.json' ? 200 : 404, { 'content-type': 'application/json' })
    response.end(JSON.stringify(document()))
  }).listen(port, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  expect((server.address() as AddressInfo).port).toBe(port)
  return server
}
