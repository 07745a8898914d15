import { fromTypeId } from '@millrace/database/ids'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ApiCaller, callerOf, refusalOf, uuidOf } from './api-caller.ts'
import { givenAccount } from './given-accounts.ts'
import { type Service, startService } from './harness/service.ts'

let service: Service
let call: ApiCaller
beforeAll(async () => {
  service = await startService({
    queue: 'redis',
    workers: 0,
    dispatchers: 0,
    env: { MAX_FILE_BYTES: '100000' },
  })
  call = callerOf(service.url, service.apiKey)
})
afterAll(() => service.stop())

const upload = async (text = 'letters', query = 'filename=letters.txt', type = 'text/plain') =>
  (await call(`POST /v1/files?${query}`, { raw: text, headers: { 'content-type': type } })).body
const image = (bytes: number) => `data:image/png;base64,${Buffer.alloc(bytes, 7).toString('base64')}`
const create = (input: object, model = 'upscale') => call('POST /v1/predictions', { body: { model, input } })

const storedOf = (id: string) =>
  service.db.kysely
    .selectFrom('predictions')
    .select(['input', 'files'])
    .where('id', '=', uuidOf(id))
    .executeTakeFirstOrThrow()

test('a data URL over 16 KB becomes a file and shows as its URL', async () => {
  const { status, body } = await create({ image: image(20_000) })
  expect(status).toBe(201)
  expect(body.input.image).toMatch(new RegExp(`^${service.url}/files/file_`))
  const response = await fetch(body.input.image)
  expect(response.headers.get('content-type')).toBe('image/png')
  expect(Buffer.from(await response.arrayBuffer())).toEqual(Buffer.alloc(20_000, 7))
  expect((await call(`GET /v1/predictions/${body.id}`)).body.input.image).toContain('/files/file_')
})

test('anything that is no file field reaches the model as it was sent', async () => {
  const file = await upload()
  const input = { text: image(20_000), deep: [{ picture: image(20_000), link: file.url }] }
  const { body } = await create(input, 'echo')
  expect(body.input).toEqual(input)
  const { input: stored, files } = await storedOf(body.id)
  expect(stored).toEqual(input)
  expect(files).toEqual([])
})

test('a small one stays as it is', async () => {
  expect((await create({ image: image(100) })).body.input.image).toBe(image(100))
})

test('an uploaded file’s URL is kept fresh', async () => {
  const file = await upload('pixels', 'filename=a.png', 'image/png')
  const { body } = await create({ image: file.url })
  expect(await (await fetch(body.input.image)).text()).toBe('pixels')
})

test('an upload near its end lives on until the prediction has run', async () => {
  const file = await upload('pixels', 'filename=a.png', 'image/png')
  await service.db.pool.query(
    `update files set expires_at = clock_timestamp() + interval '1 minute' where id = $1`,
    [fromTypeId('file', file.id)],
  )
  await create({ image: file.url })
  const { body } = await call(`GET /v1/files/${file.id}`)
  expect(body.expires_at).toBeGreaterThan(Date.now() / 1000 + 29 * 86_400)
})

test('an upload that lives longer than inputs do is not cut short', async () => {
  const file = await upload('pixels', 'filename=a.png', 'image/png')
  const expiresAt = new Date(Date.now() + 90 * 86_400_000)
  await service.db.pool.query('update files set expires_at = $2 where id = $1', [
    fromTypeId('file', file.id),
    expiresAt,
  ])
  await create({ image: file.url })
  expect((await call(`GET /v1/files/${file.id}`)).body.expires_at).toBe(
    Math.floor(expiresAt.getTime() / 1000),
  )
})

test('a file of another account whose URL one was given becomes one’s own', async () => {
  const other = await givenAccount(service)
  const { url, id } = (
    await callerOf(service.url, other.apiKey)('POST /v1/files?filename=a.png', {
      raw: 'pixels',
      headers: { 'content-type': 'image/png' },
    })
  ).body
  const { status, body } = await create({ image: url })

  expect(status).toBe(201)
  const [copy] = (await storedOf(body.id)).files
  expect(copy).toMatchObject({ name: 'a.png', type: 'image/png', size: 6, role: 'input' })
  expect(copy?.id).not.toBe(id)
  expect((await call(`GET /v1/files/${copy?.id}`)).status).toBe(200)
  await callerOf(service.url, other.apiKey)(`DELETE /v1/files/${id}`)
  expect(await (await fetch(body.input.image)).text()).toBe('pixels')
})

test('the output of another prediction outlives that prediction', async () => {
  const first = (await create({ text: 'first' }, 'echo')).body.id
  const output = await upload('pixels', 'filename=a.png', 'image/png')
  await service.db.pool.query('update files set prediction_id = $2, expires_at = null where id = $1', [
    fromTypeId('file', output.id),
    uuidOf(first),
  ])
  const { body } = await create({ image: output.url })

  await call(`DELETE /v1/files/${output.id}`)
  expect(await (await fetch(body.input.image)).text()).toBe('pixels')
})

test.each([
  ['an address that may not be reached', () => 'http://10.0.0.1/a.png'],
  ['credentials', () => 'http://me:pw@127.0.0.1/a.png'],
  ['broken base64', () => 'data:image/png;base64,@@@'],
  ['a data URL larger than a file may be', () => image(100_001)],
  [
    'a file that is gone',
    async () => {
      const file = await upload()
      await call(`DELETE /v1/files/${file.id}`)
      return file.url
    },
  ],
])('%s is refused by name', async (_, url) => {
  expect(refusalOf(await create({ image: await url() }))).toEqual({
    status: 400,
    id: 'INVALID_FILE_URL',
    fields: ['input.image'],
  })
})

test('text that looks like our marker stays text', async () => {
  const file = await upload()
  const { body } = await create({ text: `millrace-file:${file.id}` }, 'echo')
  expect(body.input.text).toBe(`millrace-file:${file.id}`)
})
