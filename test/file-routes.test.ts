import { deriveKey } from '@millrace/keys/derive'
import { createFileUrls } from '@millrace/storage/file-urls'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ApiCaller, callerOf, refusalOf } from './api-caller.ts'
import { givenAccount } from './given-accounts.ts'
import { type StorePlace, storePlaces } from './given-stores.ts'
import { type Service, startService } from './harness/service.ts'
import { until } from './harness/wait.ts'

describe.each(storePlaces)('in %s', (_name, openPlace) => {
  let place: StorePlace
  let service: Service
  let call: ApiCaller
  beforeAll(async () => {
    place = await openPlace()
    service = await startService({
      queue: 'redis',
      workers: 0,
      dispatchers: 0,
      env: { ...place.environment, STORAGE_URL: place.url, MAX_FILE_BYTES: '100000' },
    })
    call = callerOf(service.url, service.apiKey)
  })
  afterAll(async () => {
    await service.stop()
    await place.close()
  })

  const letters = 'abcdefghijklmnopqrstuvwxyz'
  const upload = async (text = letters, query = 'filename=letters.txt', type = 'text/plain') =>
    (await call(`POST /v1/files?${query}`, { raw: text, headers: { 'content-type': type } })).body
  const fetched = (url: string, headers: Record<string, string> = {}, method = 'GET') =>
    fetch(url, { headers, method })

  describe('uploading', () => {
    test('a multipart form as OpenAI’s clients send it', async () => {
      const form = new FormData()
      form.set('purpose', 'vision')
      form.set('file', new File(['{"a":1}'], 'päge "1".json', { type: 'application/json' }))

      const { status, body } = await call('POST /v1/files', { raw: form })

      expect(status).toBe(201)
      expect(body).toEqual({
        id: expect.stringMatching(/^file_[0-9a-z]{26}$/),
        object: 'file',
        bytes: 7,
        created_at: expect.any(Number),
        filename: expect.stringMatching(/^p.+ge .*1.*\.json$/),
        purpose: 'vision',
        content_type: 'application/json',
        expires_at: expect.any(Number),
        url: expect.stringContaining(`${service.url}/files/${body.id}/`),
      })
      expect(await (await fetched(body.url)).text()).toBe('{"a":1}')
    })

    test('parts and parameters that mean nothing are named back', async () => {
      const form = new FormData()
      form.set('purpos', 'vision')
      form.set('file', new File(['a'], 'a.txt'))
      const { status, headers } = await call('POST /v1/files?filname=b.txt', { raw: form })
      expect([status, headers.get('x-ignored-fields')]).toEqual([201, 'filname, purpos'])
      expect(headers.get('x-did-you-mean')).toBe('filname=filename, purpos=purpose')

      const misspelt = new FormData()
      misspelt.set('flie', new File(['a'], 'a.txt'))
      const { body } = await call('POST /v1/files', { raw: misspelt })
      expect(body.error.message).toBe(
        'The multipart body has no part named "file". You sent "flie", did you mean "file"?',
      )
    })

    test('the raw body', async () => {
      const file = await upload()
      expect(file).toMatchObject({
        bytes: 26,
        filename: 'letters.txt',
        content_type: 'text/plain',
        purpose: 'input',
      })
    })

    test('NUL and odd content types do no harm', async () => {
      const file = await upload('x', 'filename=a%00b%0d%0a.txt&purpose=p%00q', 'no/type; \u00e9')
      expect(file).toMatchObject({ purpose: 'p\uFFFDq', content_type: 'application/octet-stream' })
      expect((await fetched(file.url)).status).toBe(200)
    })

    test('a file over the limit is 413 and leaves nothing', async () => {
      const form = new FormData()
      form.set('file', new File(['x'.repeat(100_001)], 'big'))
      const before = await count()
      const replies = [
        await call('POST /v1/files', { raw: form }),
        await call('POST /v1/files', { raw: 'x'.repeat(100_001) }),
      ]
      for (const reply of replies)
        expect(refusalOf(reply)).toMatchObject({ status: 413, id: 'PAYLOAD_TOO_LARGE' })
      expect(await count()).toBe(before)
    })

    test.each([
      [
        'without a file part',
        'multipart/form-data; boundary=x',
        '--x\r\ncontent-disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n',
      ],
      ['without a boundary', 'multipart/form-data', '--x--'],
      [
        'that breaks off',
        'multipart/form-data; boundary=x',
        '--x\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\nhal',
      ],
    ])('a form %s is 400', async (_, type, raw) => {
      const reply = await call('POST /v1/files', { raw, headers: { 'content-type': type } })
      expect(refusalOf(reply)).toMatchObject({ status: 400, id: 'INVALID_REQUEST' })
    })

    const count = async () => (await call('GET /v1/files')).body.pagination.total
  })

  describe('the resource', () => {
    test('is listed, shown and deleted', async () => {
      const file = await upload()
      const { url: _, ...lasting } = file
      expect((await call(`GET /v1/files/${file.id}`)).body).toMatchObject(lasting)
      expect((await call('GET /v1/files?per_page=1')).body).toMatchObject({
        data: [{ id: file.id }],
        pagination: { per_page: 1 },
      })

      expect((await call(`DELETE /v1/files/${file.id}`)).body).toEqual({
        id: file.id,
        object: 'file',
        deleted: true,
      })

      expect(refusalOf(await call(`GET /v1/files/${file.id}`))).toMatchObject({
        status: 404,
        id: 'FILE_NOT_FOUND',
      })
      expect((await call(`DELETE /v1/files/${file.id}`)).status).toBe(404)
      expect((await fetched(file.url)).status).toBe(404)
    })

    test('pages by cursor', async () => {
      const own = callerOf(service.url, (await givenAccount(service)).apiKey)
      const ids: string[] = []
      for (const name of ['1', '2', '3'])
        ids.unshift((await own(`POST /v1/files?filename=${name}`, { raw: name })).body.id)
      const first = (await own('GET /v1/files?per_page=2')).body
      const second = (await own(`GET /v1/files?per_page=2&cursor=${first.pagination.next_cursor}`)).body
      const back = (await own(`GET /v1/files?per_page=2&cursor=${second.pagination.prev_cursor}`)).body

      expect([...first.data, ...second.data].map(({ id }) => id)).toEqual(ids)
      expect(back.data.map(({ id }: { id: string }) => id)).toEqual(ids.slice(0, 2))
      expect(second.pagination.next_cursor).toBeNull()
    })
  })

  describe('downloading', () => {
    test('needs no key, only the signed URL, and runs nothing in a browser', async () => {
      const file = await upload('<script>alert(1)</script>', 'filename=page.html', 'text/html')
      const response = await fetched(file.url)

      expect(response.status).toBe(200)
      expect(await response.text()).toBe('<script>alert(1)</script>')
      expect(response.headers.get('content-type')).toMatch(/^text\/html/)
      expect(response.headers.get('content-security-policy')).toContain('sandbox')
      expect(response.headers.get('x-content-type-options')).toBe('nosniff')
      expect(response.headers.get('content-disposition')).toContain('inline; filename="page.html"')
    })

    test.each([
      ['bytes=0-4', 206, 'abcde', 'bytes 0-4/26'],
      ['bytes=20-', 206, 'uvwxyz', 'bytes 20-25/26'],
      ['bytes=-3', 206, 'xyz', 'bytes 23-25/26'],
      ['bytes=20-999', 206, 'uvwxyz', 'bytes 20-25/26'],
      ['bytes=0-1,5-6', 200, letters, null],
      ['lines=1-2', 200, letters, null],
      ['nonsense', 200, letters, null],
    ])('the range %s', async (range, status, text, contentRange) => {
      const { url } = await upload()
      const response = await fetched(url, { range })
      expect([response.status, await response.text(), response.headers.get('content-range')]).toEqual([
        status,
        text,
        contentRange,
      ])
      expect(response.headers.get('content-length')).toBe(String(text.length))
      expect(response.headers.get('accept-ranges')).toBe('bytes')
    })

    test('a range outside the file is 416 with its length', async () => {
      const { url } = await upload()
      const response = await fetched(url, { range: 'bytes=26-' })
      expect(response.status).toBe(416)
      expect(response.headers.get('content-range')).toBe('bytes */26')
      expect(await response.json()).toMatchObject({ error: { error_id: 'RANGE_NOT_SATISFIABLE' } })
    })

    test('HEAD tells the length and sends nothing', async () => {
      const { url } = await upload()
      const response = await fetched(url, {}, 'HEAD')
      expect([response.status, response.headers.get('content-length'), await response.text()]).toEqual([
        200,
        '26',
        '',
      ])
    })

    test('a forged and a missing signature open nothing', async () => {
      const [file, other] = [await upload(), await upload('other')]
      const urls = createFileUrls({ publicUrl: service.url, key: deriveKey(service.masterKey, 'file-urls') })
      const forger = createFileUrls({ publicUrl: service.url, key: deriveKey(service.masterKey, 'sealing') })
      const attempts = [
        forger.sign(file.id, 'letters.txt', 60),
        forger.sign(file.id, 'letters.txt', -1),
        file.url.replace(file.id, other.id),
        file.url.replace(/expires=\d+/, 'expires=99999999999'),
        file.url.split('?')[0] ?? '',
      ]
      for (const url of attempts) {
        const response = await fetched(url)
        expect([
          response.status,
          ((await response.json()) as { error: { error_id: string } }).error.error_id,
        ]).toEqual([404, 'FILE_NOT_FOUND'])
      }
      expect((await fetched(urls.sign(file.id, 'letters.txt', 60))).status).toBe(200)
    })

    test('a URL whose time is over says so, and the file has a new one', async () => {
      const file = await upload()
      const urls = createFileUrls({ publicUrl: service.url, key: deriveKey(service.masterKey, 'file-urls') })

      const over = await fetched(urls.sign(file.id, 'letters.txt', -1))

      expect(over.status).toBe(410)
      expect(await over.json()).toMatchObject({
        error: { error_id: 'FILE_URL_EXPIRED', message: expect.stringContaining('again for a new one') },
      })
      const again = (await call(`GET /v1/files/${file.id}`)).body.url
      expect(await (await fetched(again)).text()).toBe(letters)
    })

    test('getting a prediction again makes new URLs of its files, for when the old ones are over', async () => {
      const image = `data:image/png;base64,${Buffer.alloc(20_000, 7).toString('base64')}`
      const create = (input: object) => call('POST /v1/predictions', { body: { model: 'upscale', input } })
      const { id, input } = (await create({ image })).body
      const urls = createFileUrls({ publicUrl: service.url, key: deriveKey(service.masterKey, 'file-urls') })
      const over = urls.sign(urls.ours(input.image) ?? '', 'input.png', -1)
      expect((await fetched(over)).status).toBe(410)
      const refused = await create({ image: over })
      expect(refusalOf(refused)).toMatchObject({ id: 'INVALID_FILE_URL', fields: ['input.image'] })
      expect(refused.body.error.message).toContain('again for a new one')

      const again = await until(
        async () => {
          const url = (await call(`GET /v1/predictions/${id}`)).body.input.image
          return url !== input.image && url
        },
        { what: 'another second, and so another URL' },
      )
      expect((await fetched(again)).status).toBe(200)
    })
  })
})
