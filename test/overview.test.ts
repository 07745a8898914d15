import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import Anthropic from '@anthropic-ai/sdk'
import { usualScopes } from '@millrace/contract/scopes'
import OpenAI from 'openai'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { callerOf } from './api-caller.ts'
import { documentedOperations } from './documented-requests.ts'
import { type Service, startService } from './harness/service.ts'

let service: Service
beforeAll(async () => {
  service = await startService({ queue: 'redis', dispatchers: 0 })
})
afterAll(() => service.stop())

test('a program learns from GET /v1, without a key, what to call here', async () => {
  const { status, headers, body } = await callerOf(service.url)('GET /v1')
  const models = (await callerOf(service.url, service.apiKey)('GET /v1/models')).body

  expect([status, headers.get('cache-control')]).toEqual([200, 'public, max-age=60'])
  expect(body).toMatchObject({
    base_url: `${service.url}/v1`,
    auth: expect.stringContaining('x-api-key'),
    compatibility: { openai: `${service.url}/v1`, anthropic: service.url },
    streaming: expect.stringContaining('stream: true'),
    function_calling: expect.stringContaining('tools'),
    total_endpoints: models.length,
  })
  expect(body.endpoints['/v1/chat/completions']).toEqual({
    method: 'POST',
    use_for: expect.stringContaining('conversation'),
  })
  expect(body.endpoints['/v1/predictions'].method).toBe('POST, GET')
})

test('what it names is served, and whatever a key like most may do is named', async () => {
  const { body } = await callerOf(service.url)('GET /v1')
  const named = Object.entries<{ method: string }>(body.endpoints).flatMap(([path, { method }]) =>
    method.split(', ').map((one) => `${one} ${path}`),
  )
  const keyed = documentedOperations().filter(({ scope }) => usualScopes.some((one) => one === scope))
  const names = keyed.map(({ name }) => name)
  expect(names).toEqual(expect.arrayContaining(named))
  // Other spellings of the same are left out.
  const { paths } = (await callerOf(service.url)('GET /openapi.json')).body
  const own = names.filter((name) => {
    const [method = '', path = ''] = name.split(' ')
    return !paths[path][method.toLowerCase()].tags.includes('compatibility')
  })
  expect([...named].sort()).toEqual(own.sort())
})

test('llms.txt and skill.md say it in words, with the models by type', async () => {
  const open = callerOf(service.url)
  const [plain, skill] = await Promise.all([open('GET /llms.txt'), open('GET /skill.md')])

  expect(plain.headers.get('content-type')).toBe('text/plain; charset=utf-8')
  expect(skill.headers.get('content-type')).toBe('text/markdown; charset=utf-8')
  expect(plain.headers.get('cache-control')).toBe('public, max-age=60')
  expect(plain.text).toMatch(/^# Millrace\n\n> .+\n/)
  expect(skill.text).toMatch(/^---\nname: millrace\ndescription: .+\n---\n\n# Millrace\n/)
  expect(skill.text).toContain(plain.text)
  expect(plain.text).toMatch(/### text\n\n(\* .*\n)*\* `parrot`: A chat model/)
})

test('every command of skill.md works as it is printed', async () => {
  const { text } = await callerOf(service.url)('GET /skill.md')
  const commands = [...text.matchAll(/```sh\n\s*(.*)\n\s*```/g)].map(([, command = '']) => command)
  expect(commands.length).toBeGreaterThan(15)
  for (const path of ['/v1/predictions', '/v1/chat/completions', '/v1/messages', '/v1/embeddings', '/v1/run'])
    expect(
      commands.filter((command) => command.includes(`${path} `) && command.includes(' -d ')),
    ).toHaveLength(1)

  for (const command of commands) {
    // The same curl, which tells of an error by its end.
    const script = `export MILLRACE_API_KEY=${service.apiKey}; curl() { command curl --fail-with-body "$@"; }; ${command}`
    const ran = await promisify(execFile)('bash', ['-c', script]).catch((error) => error)
    expect([command, ran.code ?? 0, ran.stdout]).toEqual([command, 0, ran.stdout])
  }
}, 120_000)

test('OpenAI’s and Anthropic’s clients list and get models', async () => {
  const openai = new OpenAI({ apiKey: service.apiKey, baseURL: `${service.url}/v1`, maxRetries: 0 })
  const anthropic = new Anthropic({ apiKey: service.apiKey, baseURL: service.url, maxRetries: 0 })
  const listed: string[] = []
  for await (const { id } of anthropic.models.list()) listed.push(id)

  expect(await openai.models.retrieve('parrot')).toMatchObject({
    id: 'parrot',
    object: 'model',
    created: 0,
    owned_by: 'millrace',
  })
  expect(listed).toEqual(expect.arrayContaining(['parrot', 'doodle']))
  expect(await anthropic.models.retrieve('parrot')).toEqual({
    type: 'model',
    id: 'parrot',
    display_name: 'Parrot',
    created_at: '1970-01-01T00:00:00Z',
  })
  await expect(openai.models.retrieve('no/such')).rejects.toMatchObject({ status: 404 })
  await expect(anthropic.models.retrieve('no-such')).rejects.toMatchObject({
    status: 404,
    type: 'not_found_error',
    requestID: expect.stringMatching(/^req_/),
  })
})
