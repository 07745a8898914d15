import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { toTypeId } from '@millrace/database/ids'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ApiCaller, callerOf, refusalOf, uuidOf } from './api-caller.ts'
import { type GivenAccount, givenAccount } from './given-accounts.ts'
import { fileModel, passDays } from './given-retention.ts'
import { type StorePlace, storePlaces } from './given-stores.ts'
import { type Receiver, startReceiver } from './harness/receiver.ts'
import { type Service, startService } from './harness/service.ts'
import { until } from './harness/wait.ts'
import { untilEnded } from './until-ended.ts'

const picture = `data:image/png;base64,${Buffer.from('private: '.repeat(3_000)).toString('base64')}`

describe.each(storePlaces)('with files in %s', (_name, openPlace) => {
  let place: StorePlace
  let models: string
  let service: Service
  let receiver: Receiver
  let account: GivenAccount
  let call: ApiCaller
  beforeAll(async () => {
    place = await openPlace()
    models = await mkdtemp(join(tmpdir(), 'millrace-models-'))
    await writeFile(join(models, 'lasting.mjs'), fileModel('lasting'))
    await writeFile(join(models, 'fleeting.mjs'), fileModel('fleeting', 'retention: { files: 2, data: 5 },'))
    receiver = await startReceiver()
    service = await startService({
      queue: 'redis',
      env: { ...place.environment, STORAGE_URL: place.url, MODELS_DIR: models, SWEEP_SECONDS: '0.1' },
    })
    account = await givenAccount(service)
    call = callerOf(service.url, account.apiKey)
  })
  afterAll(async () => {
    await service.stop()
    await receiver.close()
    await place.close()
    await rm(models, { recursive: true })
  })

  async function ended(request: object) {
    const { status, body, text } = await call('POST /v1/predictions', {
      body: { model: 'lasting', input: { picture, secret: 'private' }, webhook: receiver.url, ...request },
    })
    if (status !== 201) throw new Error(text)
    const prediction = await untilEnded(call, body.id)
    expect(prediction).toMatchObject({ status: 'succeeded', metadata: { data_available: true } })
    return prediction
  }

  const read = async (id: string) => (await call(`GET /v1/predictions/${id}`)).body

  test('a request’s files go from the store when their days have passed, and the values stay', async () => {
    const { id } = await ended({ retention: { files_days: 3 } })
    const before = await place.stored()
    expect(before.length).toBeGreaterThanOrEqual(2)

    await passDays(service.db, uuidOf(id), 3.01)
    await until(async () => (await place.stored()).length === before.length - 2, {
      what: 'the file of the input and that of the output to go',
    })

    const prediction = await read(id)
    expect(prediction).toMatchObject({ status: 'succeeded', metadata: { data_available: false } })
    expect((await fetch(prediction.output[0])).status).toBe(404)
    expect((await fetch(prediction.input.picture)).status).toBe(404)
  })

  test('a request’s values go with all that tells them, and the row stays in the lists', async () => {
    const { id } = await ended({ retention: { data_days: 0.5 }, tags: { team: 'kept' } })
    await until(
      async () => receiver.requests.some(({ body }) => body.includes(id) && body.includes('succeeded')),
      {
        what: 'its webhook',
      },
    )
    const before = await place.stored()

    await passDays(service.db, uuidOf(id), 0.51)
    await until(async () => (await read(id)).output === null, { what: 'its values to go', within: 30_000 })
    await until(async () => (await place.stored()).length === before.length - 2, { what: 'its files to go' })

    expect(await read(id)).toMatchObject({
      status: 'succeeded',
      input: {},
      output: null,
      metadata: { data_available: false, tags: { team: 'kept' } },
    })
    expect((await call('GET /v1/predictions?tag.team=kept')).body.data).toMatchObject([{ id }])
    expect(await rowsThatTell(id)).toEqual([])
  })

  test('nothing of it goes an hour before its time', async () => {
    const { id } = await ended({ retention: { files_days: 3, data_days: 4 } })
    const before = await place.stored()
    await passDays(service.db, uuidOf(id), 2.95)
    const marker = await ended({ retention: { data_days: 0.5 } })
    await passDays(service.db, uuidOf(marker.id), 0.51)
    await until(async () => (await read(marker.id)).output === null, {
      what: 'one that came later to go',
      within: 30_000,
    })

    expect(await place.stored()).toEqual(expect.arrayContaining(before))
    const prediction = await read(id)
    expect(prediction).toMatchObject({ metadata: { data_available: true } })
    expect((await fetch(prediction.output[0])).status).toBe(200)
  })

  test('of request, model and account the shortest counts, and the prediction says until when', async () => {
    const daysOf = async (request: object) => {
      const { completed_at, metadata } = await ended(request)
      return (Date.parse(metadata.expires_at ?? '') - Date.parse(completed_at ?? '')) / 86_400_000
    }
    expect(await daysOf({})).toBe(7)
    expect(await daysOf({ retention: { files_days: 30 } }), 'no longer than the service').toBe(7)
    expect(await daysOf({ model: 'fleeting' })).toBe(2)
    expect(await daysOf({ model: 'fleeting', retention: { files_days: 4 } })).toBe(2)
    expect(await daysOf({ model: 'fleeting', retention: { files_days: 1 } })).toBe(1)

    expect(
      await admin('accounts', 'set', toTypeId('acct', account.accountId), '--retention-files-days', '1.5'),
    ).toContain('files 1.5 d')
    await until(async () => (await daysOf({ model: 'fleeting' })) === 1.5, {
      within: 20_000,
      what: 'the account’s',
    })
    const { body: upload } = await call('POST /v1/files', { raw: 'bytes' })
    expect(upload.expires_at - upload.created_at).toBe(1.5 * 86_400)
    expect(
      await admin('accounts', 'set', toTypeId('acct', account.accountId), '--retention-files-days', 'none'),
    ).not.toContain('files')
    await until(async () => (await daysOf({})) === 7, { within: 20_000, what: 'the account’s to be over' })
  }, 90_000)

  test.each([
    [{ files_days: 0 }, 'retention.files_days'],
    [{ data_days: -1 }, 'retention.data_days'],
    [{ data_days: '1' }, 'retention.data_days'],
    [7, 'retention'],
  ])('the retention %j is refused by name', async (retention, field) => {
    const reply = await call('POST /v1/predictions', { body: { model: 'lasting', input: {}, retention } })
    expect(refusalOf(reply)).toMatchObject({ status: 400, fields: [field] })
  })

  /** Tables with a row of this prediction in which something private is left. */
  async function rowsThatTell(id: string): Promise<string[]> {
    const sources = {
      predictions: 'select p::text as row from predictions p where id = $1',
      events: 'select e::text as row from prediction_events e where prediction_id = $1',
      bodies: `select b.body as row from webhook_bodies b join deliveries d on d.body_id = b.id where d.prediction_id = $1`,
      files: 'select f::text as row from files f where prediction_id = $1',
      runs: 'select r::text as row from runs r where prediction_id = $1',
      expiries: 'select e::text as row from expiries e where prediction_id = $1',
    }
    const left: string[] = []
    for (const [name, query] of Object.entries(sources)) {
      const { rows } = await service.db.pool.query<{ row: string }>(query, [uuidOf(id)])
      const gone = name === 'predictions' || name === 'events'
      if (rows.some(({ row }) => !gone || row.includes('private'))) left.push(name)
    }
    return left
  }

  async function admin(...words: string[]): Promise<string> {
    const program = new URL('../apps/api/src/admin.ts', import.meta.url).pathname
    const env = service.environment
    return (await promisify(execFile)(process.execPath, [program, ...words], { env })).stdout
  }
})
