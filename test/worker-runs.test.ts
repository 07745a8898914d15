import { once } from 'node:events'
import { rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { fileMarker, markedFile } from '@millrace/contract/file-marker'
import { newId } from '@millrace/database/ids'
import { deriveKey } from '@millrace/keys/derive'
import { seal } from '@millrace/keys/seal'
import { requestCancel } from '@millrace/lifecycle/cancel'
import { findFile, saveFile } from '@millrace/storage/files'
import { openStore } from '@millrace/storage/store'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { lifecycleOn } from './given-predictions.ts'
import { masterKey, startTestWorker, type TestWorker } from './given-worker.ts'
import { until } from './harness/wait.ts'

describe.each(['redis', 'postgres'] as const)('over %s', (kind) => {
  let service: TestWorker
  beforeAll(async () => {
    service = await startTestWorker(kind)
  })
  afterAll(() => service.stop())

  test('a bell has a prediction run, and its output is kept', async () => {
    const made = await service.create('echo', { text: 'hello' })
    const { output, attempt } = await made.reaches('succeeded')
    expect({ output, attempt }).toEqual({ output: { text: 'hello' }, attempt: 1 })
  })

  test('more predictions than slots are all run, with one bell each', async () => {
    const made = await Promise.all(Array.from({ length: 40 }, (_, n) => service.create('echo', { n })))
    const rows = await Promise.all(made.map((one) => one.reaches('succeeded')))
    expect(rows.map(({ output }) => output)).toEqual(rows.map((_, n) => ({ n })))
  })
})

describe('a run', () => {
  let service: TestWorker
  beforeAll(async () => {
    service = await startTestWorker()
  })
  afterAll(() => service.stop())

  test('streams its output in order, after processing and before the end', async () => {
    const made = await service.create('echo', {
      text: 'to be streamed',
      chunks: 6,
      delay_ms: 600,
      log: 'noted',
    })
    await made.reaches('succeeded')

    const events = await made.events()
    const deltas = events.filter(({ kind }) => kind === 'output').map(({ data }) => JSON.parse(data).delta)
    expect(deltas.length).toBeGreaterThan(1)
    expect(deltas.join('')).toBe('to be streamed')
    const seqs = events.map(({ seq }) => seq)
    expect(seqs).toEqual([...new Set(seqs)].toSorted((a, b) => a - b))
    const kinds = events.map(({ kind, data }) => (kind === 'status' ? JSON.parse(data).status : kind))
    // A model that is warm is never seen starting.
    expect(kinds.filter((kind) => kind !== 'starting').slice(0, 2)).toEqual(['pending', 'processing'])
    expect(kinds.at(-1)).toBe('succeeded')
    expect(events.find(({ kind }) => kind === 'log')?.data).toBe('{"text":"noted\\n"}')
    const progress = events.filter(({ kind }) => kind === 'progress').map(({ data }) => Number(data))
    expect(progress.length).toBeGreaterThan(1)
    expect(progress).toEqual(progress.toSorted((a, b) => a - b))
  })

  test('that the model fails has the message of the model', async () => {
    const { error, error_id } = await (await service.create('echo', { fail: 'no paper' })).reaches('failed')
    expect({ error, error_id }).toEqual({ error: 'no paper', error_id: 'MODEL_ERROR' })
  })

  test('whose model prints megabytes keeps a bounded log', async () => {
    const made = await service.create('chaos', { flood_mb: 8 })
    await made.reaches('succeeded')
    const logs = (await made.events()).filter(({ kind }) => kind === 'log')
    const size = logs.reduce((sum, { data }) => sum + data.length, 0)
    expect(size).toBeGreaterThan(100_000)
    expect(size).toBeLessThan(1_300_000)
  })

  test('that returns NUL and half a surrogate pair has them replaced', async () => {
    const { output } = await (await service.create('chaos', { nul: true })).reaches('succeeded')
    expect(output).toEqual({ text: 'a\uFFFDb\uFFFDc' })
  })

  test('that returns no JSON fails with INVALID_OUTPUT', async () => {
    const { error_id } = await (await service.create('chaos', { nonsense: true })).reaches('failed')
    expect(error_id).toBe('INVALID_OUTPUT')
  })

  test('whose process dies each time fails with WORKER_LOST after three attempts', async () => {
    const made = await service.create('chaos', { crash: true })
    const { error, error_id, attempt } = await made.reaches('failed')
    expect({ error_id, attempt }).toEqual({ error_id: 'WORKER_LOST', attempt: 3 })
    expect(error).toMatch(/died .*3 times.*SIGKILL/)
  })

  test('whose neighbour kills their process each time is run again apart from it, and succeeds', async () => {
    const neighbours = await Promise.all([1, 2].map(() => service.create('fragile', { ms: 1_000 })))
    await Promise.all(neighbours.map((one) => one.reaches('processing')))
    const culprit = await service.create('fragile', { crash: true })
    expect((await culprit.reaches('failed')).error_id).toBe('WORKER_LOST')
    const rows = await Promise.all(neighbours.map((one) => one.reaches('succeeded', 'failed')))
    expect(rows.map(({ output, attempt }) => [output, attempt])).toEqual([
      ['fine', 2],
      ['fine', 2],
    ])
  })

  test('that takes longer than its limit is stopped and fails with RUN_TIMEOUT', async () => {
    const made = await service.create('echo', { delay_ms: 60_000 }, { timeouts: { start: 60, run: 1 } })
    expect((await made.reaches('failed')).error_id).toBe('RUN_TIMEOUT')
  })

  test('whose model is not ready in time fails with START_TIMEOUT', async () => {
    const made = await service.create('slow-start', {}, { timeouts: { start: 2, run: 60 } })
    const row = await made.reaches('failed')
    expect([row.error_id, row.started_at]).toEqual(['START_TIMEOUT', null])
  })

  test('is cancelled although no broadcast came and its model ignores it', async () => {
    const made = await service.create('chaos', { hang: 'busy' })
    await made.reaches('processing')
    expect(await requestCancel(lifecycleOn(service.db), made.id)).toBe('asked')
    expect((await made.reaches('cancelled')).output).toBeNull()
  })

  test('gets the secrets that its row only holds sealed', async () => {
    const sealedInput = seal(JSON.stringify({ token: 'abc' }), deriveKey(masterKey, 'sealing'))
    const made = await service.create('tell-secret', { token: '***' }, { sealedInput })
    expect((await made.reaches('succeeded')).output).toBe('cba')
  })

  test('whose secrets this worker cannot open is given back, to be tried later', async () => {
    const sealedInput = seal('{}', deriveKey('another master key, which the worker has not', 'sealing'))
    const made = await service.create('tell-secret', { token: '***' }, { sealedInput })
    const query =
      'select worker, crashes, run_at > clock_timestamp() as later from runs where prediction_id = $1'
    const run = await until(
      async () => (await service.db.pool.query(query, [made.id])).rows.find(({ later }) => later),
      { what: 'the run to be given back' },
    )
    expect(run).toEqual({ worker: null, crashes: 0, later: true })
  })

  test('that returns one picture has an array with its marker, and the file is listed', async () => {
    const made = await service.create('one-picture', {})
    const { output, files, account_id: accountId } = await made.reaches('succeeded')
    const id = markedFile((output as string[])[0] ?? '') ?? ''
    expect(files).toEqual([{ id, name: 'one.png', type: 'image/png', size: 20, role: 'output' }])
    const stored = await findFile(service.db, { id, accountId })
    expect(stored).toMatchObject({ predictionId: made.id, purpose: 'output', expiresAt: expect.any(Date) })
    const bytes = await openStore(service.storageUrl).open(id)
    expect(bytes && String(await buffer(bytes))).toBe('not really a picture')
  })

  test('whose JSON is over a megabyte has it in a file', async () => {
    const { output, files } = await (await service.create('long-text', {})).reaches('succeeded')
    expect(files).toMatchObject([{ name: 'output.json', type: 'application/json', size: 2_000_002 }])
    expect(output).toBe(fileMarker(files[0]?.id ?? ''))
  })
})

describe('a file of the input', () => {
  let service: TestWorker
  beforeAll(async () => {
    service = await startTestWorker()
  })
  afterAll(() => service.stop())

  const upload = (accountId: string) =>
    saveFile(service.db, openStore(service.storageUrl), {
      accountId,
      purpose: 'user_data',
      name: 'a.txt',
      contentType: 'text/plain',
      source: Buffer.from('uploaded'),
      maxBytes: 100,
    })

  test('may be a data URL', async () => {
    const made = await service.create('read-file', { file: 'data:text/plain;base64,aGVsbG8=' })
    expect((await made.reaches('succeeded')).output).toBe('hello')
  })

  test('may be an uploaded one', async () => {
    const accountId = newId()
    const { id } = await upload(accountId)
    const made = await service.create('read-file', { file: fileMarker(id) }, { accountId })
    expect((await made.reaches('succeeded')).output).toBe('uploaded')
  })

  test('is not read when it is of another account', async () => {
    const { id } = await upload(newId())
    const made = await service.create('read-file', { file: fileMarker(id) })
    const { error, error_id } = await made.reaches('failed')
    expect(error_id).toBe('MODEL_ERROR')
    expect(error).toMatch(/^input\.file: .*does not exist/)
  })

  test('is fetched, and what its host refuses is told with the name of the field', async () => {
    const server = createServer(({ url }, response) => {
      response.writeHead(url === '/here.txt' ? 200 : 404).end('fetched')
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const here = await service.create('read-file', { file: `${base}/here.txt` })
    const gone = await service.create('read-file', { file: `${base}/gone.txt` })
    expect((await here.reaches('succeeded')).output).toBe('fetched')
    expect((await gone.reaches('failed')).error).toBe("input.file: The file's host answered HTTP 404")
    server.close()
  })
})

test('a run whose output the storage does not take is tried again later, and then fails and says so', async () => {
  const service = await startTestWorker('redis')
  const folder = fileURLToPath(service.storageUrl)
  await rm(folder, { recursive: true })
  await writeFile(folder, 'no folder any more')
  const made = await service.create('one-picture', {})
  const { error, error_id, attempt } = await made.reaches('failed')
  expect({ error_id, attempt }).toEqual({ error_id: 'PROVIDER_UNAVAILABLE', attempt: 3 })
  expect(error).toMatch(/could not be stored/)
  expect(service.worker.log()).toMatch(/ENOTDIR.*an output could not be stored/)
  await service.stop()
})
