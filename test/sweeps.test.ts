import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { storeAnswer } from '@millrace/activity/stored-answers'
import { connect } from '@millrace/database/connect'
import { newId, newIdAt } from '@millrace/database/ids'
import { endLate } from '@millrace/dispatcher/sweep/end-overdue'
import { createPurge } from '@millrace/dispatcher/sweep/purge'
import { releaseDead } from '@millrace/dispatcher/sweep/release-expired'
import { removeLeftovers } from '@millrace/dispatcher/sweep/remove-leftovers'
import { ringLost } from '@millrace/dispatcher/sweep/ring-lost'
import { startSweeps } from '@millrace/dispatcher/sweep/sweep'
import { watchUnserved } from '@millrace/dispatcher/sweep/watch-unserved'
import { claimWithin } from '@millrace/lifecycle/claim'
import { findPrediction } from '@millrace/lifecycle/find'
import { alwaysThere } from '@millrace/lifecycle/presence'
import { handBack } from '@millrace/lifecycle/release'
import { hide } from '@millrace/lifecycle/remove'
import { settle } from '@millrace/lifecycle/settle'
import { announceWorker } from '@millrace/lifecycle/workers'
import { createLog } from '@millrace/process/log'
import { saveFile } from '@millrace/storage/files'
import { type FileStore, openStore } from '@millrace/storage/store'
import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  deliveriesOf,
  dispatching,
  givenAccount,
  givenClaimed,
  givenPrediction,
  givenSucceeded,
  lifecycleOf,
} from './given-webhooks.ts'
import { type FreshDatabase, freshDatabase } from './harness/database.ts'
import { startReceiver } from './harness/receiver.ts'
import { until } from './harness/wait.ts'

const retention = { fileDays: 7, valueDays: 30, rowDays: 90 }

let database: FreshDatabase
let account: string
let folder: string
let store: FileStore
let sweepPurge: ReturnType<typeof createPurge>
let rung: { pool: string; model: string }[]
const bells = { ring: (pool: string, model: string) => void rung.push({ pool, model }) }

beforeEach(async () => {
  database = await freshDatabase()
  account = await givenAccount(database.db)
  folder = await mkdtemp(join(tmpdir(), 'millrace-sweeps-'))
  store = openStore(pathToFileURL(folder).href)
  sweepPurge = createPurge({ db: database.db, store, retention })
  rung = []
})

afterEach(async () => {
  await database.drop()
  await rm(folder, { recursive: true, force: true })
})

test('a bell that was lost is rung again, once a run has waited over a second', async () => {
  await givenPrediction(database.db, account, { model: 'waits' })
  await givenPrediction(database.db, account, { model: 'held' })
  await givenClaimed(database.db, 'held')
  await givenPrediction(database.db, account, { model: 'later' })
  await age('run_at', "model <> 'later'", '2 seconds')
  await age('run_at', "model = 'later'", '-1 hour')

  expect(await ringLost(database.db, bells)).toEqual({ rung: 1 })
  expect(rung).toEqual([{ pool: 'default', model: 'waits' }])
})

test('a bell that just rang is left its second', async () => {
  await givenPrediction(database.db, account)
  await age('run_at', 'true', '-1 second')
  expect(await ringLost(database.db, bells)).toBeUndefined()
})

test('a model that no worker serves is told once by its name, how many wait for it, and once when it is over', async () => {
  const { db } = database
  const lines: { level: string; model: string; msg: string }[] = []
  const note = (level: string) => (fields: { model: string }, msg: string) =>
    void lines.push({ level, msg, ...fields })
  const log = Object.assign(createLog({ name: 'test', level: 'silent' }), {
    warn: note('warn'),
    info: note('info'),
  })
  const watch = watchUnserved(db, log, { patienceSeconds: 0 })
  for (const model of ['gone', 'gone', 'busy']) await givenPrediction(db, account, { model })
  await age('run_at', 'true', '2 seconds')
  await announceWorker(db, 'a-worker', ['busy'])

  for (let turn = 0; turn < 3; turn++) expect(await ringLost(db, bells, watch)).toEqual({ rung: 1 })
  expect(lines).toEqual([
    { level: 'warn', model: 'gone', waiting: 2, msg: expect.stringContaining('no worker serves gone') },
  ])
  // One that does not say that it is up may serve it all the same.
  expect(rung.filter(({ model }) => model === 'gone')).toHaveLength(3)

  await announceWorker(db, 'a-worker', ['busy', 'gone'])
  for (let turn = 0; turn < 3; turn++) expect(await ringLost(db, bells, watch)).toEqual({ rung: 2 })
  expect(lines.slice(1)).toEqual([{ level: 'info', model: 'gone', msg: 'a worker serves gone' }])
})

test('a run whose lease ran out is free again and rung for', async () => {
  const id = await givenPrediction(database.db, account, { model: 'm' })
  await givenPrediction(database.db, account, { model: 'm' })
  await givenClaimed(database.db, 'm')
  await givenClaimed(database.db, 'm')
  await age('lease_until', `prediction_id = '${id}'`, '1 hour')

  // The grace after a start of the database counts from then, so a whole lease of nothing is used here.
  expect(await releaseDead(database.db, bells, 0, alwaysThere)).toEqual({ released: 1 })

  expect(rung).toEqual([{ pool: 'default', model: 'm' }])
  expect(await givenClaimed(database.db, 'm')).toEqual({ id, attempt: 2 })
})

test('what ran out of time to start fails, and those who wait are told', async () => {
  const id = await givenPrediction(database.db, account)
  await age('start_by', 'true', '2 hours')
  const changed: string[] = []

  const options = { graceSeconds: 10, leaseSeconds: 15, changed: (ids: string[]) => changed.push(...ids) }
  await endLate(lifecycleOf(database.db), options, alwaysThere)

  expect(changed).toEqual([id])
  expect(await findPrediction(database.db, account, id)).toMatchObject({
    status: 'failed',
    error_id: 'START_TIMEOUT',
  })
})

test.each([
  ['START_TIMEOUT', 'start_by'],
  ['EXPIRED', 'expires_at'],
])('%s says whether a worker served the model at all', async (error_id, column) => {
  const { db } = database
  const unserved = await givenPrediction(db, account, { model: 'gone' })
  const [late, unannounced] = [
    await givenPrediction(db, account, { model: 'busy' }),
    await givenPrediction(db, account, { model: 'old' }),
  ]
  await givenPrediction(db, account, { model: 'old' })
  await announceWorker(db, 'a-worker', ['busy'])
  await age(column, 'true', '2 hours')
  // A worker of the previous version does not say that it is up.
  await db.pool.query(
    `update runs set worker = 'old-worker', start_by = 'infinity', expires_at = null where model = 'old' and prediction_id <> $1`,
    [unannounced],
  )

  const options = { graceSeconds: 10, leaseSeconds: 15, changed: () => undefined }
  await endLate(lifecycleOf(db), options, alwaysThere)

  const shown = async (id: string) => findPrediction(db, account, id)
  expect(await shown(unserved)).toMatchObject({
    error_id,
    error: expect.stringMatching(/^No worker that serves "gone" was there; it had not begun/),
  })
  for (const id of [late, unannounced]) {
    expect(await shown(id)).toMatchObject({ error_id, error: expect.not.stringContaining('serves') })
  }
})

test('a deleted prediction is purged after its last delivery, with its events, bodies and bytes', async () => {
  const receiver = await startReceiver()
  const id = await givenSucceeded(database.db, account, { url: receiver.url })
  const kept = await givenSucceeded(database.db, account)
  const file = await saveFile(database.db, store, {
    accountId: account,
    predictionId: id,
    purpose: 'output',
    name: 'a.txt',
    contentType: 'text/plain',
    source: Buffer.from('bytes'),
    maxBytes: 100,
  })
  await hide(database.db, account, id)

  expect(await sweepPurge()).toBeUndefined()
  const dispatch = dispatching(database.db)
  await until(async () => (await deliveriesOf(database.db, id)).every(({ state }) => state === 'delivered'), {
    what: 'its webhooks to be delivered',
  })
  await database.db.pool.query(
    `insert into delivery_attempts select id, 9, due_at, 200, 1, 'of 0.1' from deliveries where prediction_id = $1`,
    [id],
  )
  expect(await sweepPurge()).toMatchObject({ deleted: 1 })

  for (const table of ['deliveries', 'delivery_attempts', 'webhook_bodies', 'files'] as const) {
    expect(await database.db.kysely.selectFrom(table).selectAll().execute(), table).toEqual([])
  }
  const left = await database.db.kysely.selectFrom('predictions').select('id').execute()
  expect(left).toEqual([{ id: kept }])
  const events = await database.db.kysely
    .selectFrom('prediction_events')
    .select('prediction_id')
    .distinct()
    .execute()
  expect(events).toEqual([{ prediction_id: kept }])
  expect(await store.size(file.id)).toBeUndefined()
  await dispatch.stop(1_000)
  await receiver.close()
})

test('an answer that was stored goes when its time has passed', async () => {
  const answer = { accountId: account, surface: 'chat' as const, model: 'parrot', request: {}, answer: {} }
  await storeAnswer(database.db, { ...answer, id: newId(), days: 1 })
  expect(await sweepPurge()).toBeUndefined()
  await database.db.pool.query('update stored_answers set expires_at = clock_timestamp()')
  expect(await sweepPurge()).toMatchObject({ answers: 1 })
  expect((await database.db.pool.query('select from stored_answers')).rowCount).toBe(0)
})

test('a deleted prediction that still runs is not purged', async () => {
  const id = await givenPrediction(database.db, account)
  await hide(database.db, account, id)
  expect(await sweepPurge()).toBeUndefined()
})

test('a file goes when its time has passed, and its prediction says so', async () => {
  const id = await givenSucceeded(database.db, account)
  const gone = await givenFile(id, new Date(Date.now() - 1000))
  const kept = await givenFile(id, new Date(Date.now() + 60_000))
  const undated = await givenFile(id, undefined, newIdAt(new Date(Date.now() - 8 * 86_400_000)))

  expect(await sweepPurge()).toMatchObject({ files: 2 })

  expect(await store.size(gone.id)).toBeUndefined()
  expect(await store.size(undated.id)).toBeUndefined()
  expect(await store.size(kept.id)).toBe(5)
  expect(await findPrediction(database.db, account, id)).toMatchObject({ expired_at: expect.any(Date) })
})

test('values go after their days and rows after theirs', async () => {
  const old = await givenAged(31)
  const older = await givenAged(91)

  expect(await sweepPurge()).toMatchObject({ aged: 1, values: 2 })

  expect(await findPrediction(database.db, account, older)).toBeUndefined()
  expect(await findPrediction(database.db, account, old)).toMatchObject({
    status: 'succeeded',
    input: {},
    output: null,
    expired_at: expect.any(Date),
  })
  expect(await sweepPurge()).toBeUndefined()
})

test('whoever keeps everything for a hundred years keeps what is a year old', async () => {
  const id = await givenAged(400)
  const century = { fileDays: 36_500, valueDays: 36_500, rowDays: 36_500 }

  expect(await createPurge({ db: database.db, store, retention: century })()).toBeUndefined()

  const { rows } = await database.db.pool.query('select input from predictions where id = $1', [id])
  expect(rows).toEqual([{ input: { text: 'hello' } }])
})

test('logs go after their days as well, where there is neither input nor output', async () => {
  const old = await givenAged(31)
  const { pool } = database.db
  await pool.query(`update predictions set input = '{}', output = null where id = $1`, [old])
  await pool.query(
    `create table prediction_events_aged partition of prediction_events
     for values from ('${floorOf(32)}') to ('${floorOf(31)}')`,
  )
  await pool.query(
    `insert into prediction_events (prediction_id, seq, kind, attempt, data, created_at)
     select $1, seq, kind, 1, 'x', now() from (values (1, 'status'), (2, 'log')) as e(seq, kind)`,
    [old],
  )

  expect(await sweepPurge()).toMatchObject({ values: 1 })

  const left = await database.db.kysely
    .selectFrom('prediction_events')
    .select('kind')
    .where('prediction_id', '=', old)
    .execute()
  expect(left).toEqual([{ kind: 'status' }])
  expect(await sweepPurge()).toBeUndefined()
})

test('places go when their runs are over, also of names that nobody claims any more', async () => {
  const { db } = database
  const limits = [{ name: 'model gone', limit: 5 }]
  for (const _ of Array(4)) await givenPrediction(db, account, { model: 'gone' })
  const claimed = async (limit: number) => {
    const request = { model: 'gone', limit, worker: 'w', leaseSeconds: 60, places: limits }
    return (await claimWithin(lifecycleOf(db), request)).claims
  }
  const ended = await claimed(1)
  const back = await claimed(1)
  const [over, held] = await claimed(2)
  if (!over || !held) throw new Error('there was nothing to claim')
  await settle(
    lifecycleOf(db),
    [...ended, over].map((claim) => ({ verb: 'cancel', ...claim })),
  )
  await handBack(db, 'w', back)

  expect(await removeLeftovers(db)).toEqual({ removed: 2 })

  const left = await db.kysely.selectFrom('places_taken').select('ids').execute()
  expect(left).toEqual([{ ids: [over.id, held.id] }])
})

test('idempotency keys go after a day, secrets when they have retired', async () => {
  const { kysely, pool } = database.db
  await kysely
    .insertInto('idempotency_keys')
    .values(
      ['25 hours', '23 hours'].map((key, index) => ({
        account_id: account,
        key,
        fingerprint: Buffer.alloc(1),
        prediction_id: newId(),
        status_code: 201,
        created_at: new Date(Date.now() - (25 - 2 * index) * 3_600_000),
      })),
    )
    .execute()
  await pool.query(`update signing_secrets set retires_at = clock_timestamp() where account_id = $1`, [
    account,
  ])

  expect(await sweepPurge()).toMatchObject({ keys: 1, secrets: 1 })

  expect(await kysely.selectFrom('idempotency_keys').select('key').execute()).toEqual([{ key: '23 hours' }])
})

test('a sweep that fails is tried again, stops no other, and of two processes one sweeps', async () => {
  const log = createLog({ name: 'test', level: 'silent' })
  let failed = 0
  let atOnce = 0
  let most = 0
  let done = 0
  const sweeps = [
    {
      name: 'broken',
      everySeconds: 0.01,
      run: async () => {
        failed++
        throw new Error('broken')
      },
    },
    {
      name: 'sound',
      everySeconds: 0.01,
      run: async () => {
        most = Math.max(most, ++atOnce)
        await database.db.pool.query('select pg_sleep(0.05)')
        atOnce--
        done++
        return undefined
      },
    },
  ]
  const sweeper = { db: database.db, log, leaseSeconds: 15 }
  const [one, two] = [startSweeps(sweeper, sweeps), startSweeps(sweeper, sweeps)]

  await until(() => failed > 3 && done > 3, { what: 'both sweeps to have run' })

  await Promise.all([one.stop(), two.stop()])
  expect(most).toBe(1)
})

test('a sweep whose connection is cut off runs again', async () => {
  const cut = connect({ url: database.url, max: 2, name: 'to be cut' })
  let runs = 0
  const run = async () => {
    if (++runs > 1) return undefined
    await database.db.pool.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and application_name = 'to be cut'`,
    )
    return undefined
  }

  const sweeping = startSweeps(
    { db: cut, log: createLog({ name: 'test', level: 'silent' }), leaseSeconds: 15 },
    [{ name: 'cut off', everySeconds: 0.01, run }],
  )

  await until(() => runs > 2, { what: 'the sweep to run again' })
  await sweeping.stop()
  await cut.close()
})

function givenFile(predictionId: string, expiresAt?: Date, fileId?: string) {
  return saveFile(database.db, store, {
    ...(fileId && { id: fileId }),
    accountId: account,
    predictionId,
    purpose: 'output',
    name: 'a.txt',
    contentType: 'text/plain',
    source: Buffer.from('bytes'),
    maxBytes: 100,
    expiresAt,
  })
}

async function age(column: string, where: string, by: string): Promise<void> {
  await database.db.pool.query(
    `update runs set ${column} = clock_timestamp() - interval '${by}' where ${where}`,
  )
}

/** A prediction that ended so many days ago, in a partition of that time. */
async function givenAged(days: number): Promise<string> {
  const { pool } = database.db
  const id = await givenSucceeded(database.db, account)
  await pool.query(
    `create table predictions_aged_${days} partition of predictions
     for values from (uuid_floor_of(${days + 1})) to (uuid_floor_of(${days}))`.replaceAll(
      /uuid_floor_of\((\d+)\)/g,
      (_all, ago: string) => `'${floorOf(Number(ago))}'`,
    ),
  )
  const aged = floorOf(days + 0.5).replace('0000-000000000000', '7000-800000000000')
  await pool.query(
    `update predictions set id = $2, created_at = created_at - make_interval(days => $3),
       started_at = started_at - make_interval(days => $3), completed_at = completed_at - make_interval(days => $3)
     where id = $1`,
    [id, aged, days],
  )
  return aged
}

function floorOf(daysAgo: number): string {
  const hex = Math.floor(Date.now() - daysAgo * 86_400_000)
    .toString(16)
    .padStart(12, '0')
  return `${hex.slice(0, 8)}-${hex.slice(8)}-0000-0000-000000000000`
}
