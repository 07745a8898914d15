import type { Database } from '@millrace/database/connect'
import { accept } from '@millrace/lifecycle/accept'
import { test } from 'vitest'
import { draft, lifecycleOn } from './given-predictions.ts'
import { startTestWorker } from './given-worker.ts'
import type { RunningProcess } from './harness/processes.ts'
import { until } from './harness/wait.ts'

test.concurrent.for(['redis', 'postgres'] as const)(
  'a worker that is connected and does not claim what waits is not ready until it can (%s)',
  { timeout: 120_000 },
  async (kind, { expect, onTestFinished }) => {
    const service = await startTestWorker(kind)
    onTestFinished(() => service.stop())
    const { db, queue, worker } = service
    const made = draft({ model: 'echo', input: { text: 'at last' } })
    await accept(lifecycleOn(db), [made])
    // A claim passes over a row that somebody else has locked, and the bell is spent.
    const unlock = await lockRuns(db)
    onTestFinished(unlock)
    queue.ring('default', 'echo')

    // The gauge first: a busy machine may turn the worker away for a moment for another reason.
    await until(async () => (await starving(worker)) === '1', { within: 60_000, what: 'it to starve' })
    expect(await secondsWaited(db, made.id), 'it starves on what has waited for long').toBeGreaterThan(10)
    expect(await readiness(worker)).toBe(503)
    expect(worker.log()).toContain('claims nothing, although runs wait for it')

    await unlock()
    await until(async () => (await readiness(worker)) === 200, { within: 30_000, what: '200 again' })
    expect(await starving(worker)).toBe('0')
    const { rows } = await db.pool.query('select attempt from predictions where id = $1', [made.id])
    expect(rows).toEqual([{ attempt: 1 }])
  },
)

test.concurrent('a worker to which no bell comes finds what waits by itself', { timeout: 90_000 }, async ({
  onTestFinished,
}) => {
  const service = await startTestWorker()
  onTestFinished(() => service.stop())
  const made = draft({ model: 'echo' })
  await accept(lifecycleOn(service.db), [made])

  const ended = 'select from predictions where id = $1 and completed_at is not null'
  await until(async () => (await service.db.pool.query(ended, [made.id])).rowCount, {
    within: 60_000,
    what: 'the prediction to end',
  })
})

test.concurrent('a worker whose slots are full does not starve, however long others wait', {
  timeout: 90_000,
}, async ({ expect, onTestFinished }) => {
  const service = await startTestWorker('redis', { CONCURRENCY: '1' })
  onTestFinished(() => service.stop())
  const { db, worker } = service
  await (await service.create('echo', { delay_ms: 600_000 })).reaches('processing')
  const waiting = await service.create('echo', {})
  await db.pool.query(`update runs set run_at = run_at - interval '1 hour' where prediction_id = $1`, [
    waiting.id,
  ])

  // It would be hungry at its next look, and starve at the one after it: one in five seconds.
  const gauge = new Set<string | undefined>()
  await until(
    async () => {
      gauge.add(await starving(worker))
      return (await secondsWaited(db, waiting.id)) > 3_600 + 12
    },
    { within: 60_000, what: 'two looks at what waits' },
  )

  expect([...gauge]).toEqual(['0'])
  await until(async () => (await readiness(worker)) === 200, { what: 'it to be ready' })
  expect((await waiting.find()).status).toBe('pending')
})

/** By the database's clock. */
async function secondsWaited({ pool }: Database, id: string): Promise<number> {
  const { rows } = await pool.query<{ seconds: number }>(
    'select extract(epoch from clock_timestamp() - run_at)::float8 as seconds from runs where prediction_id = $1',
    [id],
  )
  return rows[0]?.seconds ?? 0
}

/** Locks all runs until the function it answers with is called; calling that again does nothing. */
async function lockRuns({ pool }: Database): Promise<() => Promise<void>> {
  const client = await pool.connect()
  await client.query('set idle_in_transaction_session_timeout = 0')
  await client.query('begin')
  await client.query('select from runs for update')
  let locked = true
  return async () => {
    if (locked) client.release(true)
    locked = false
  }
}

async function readiness({ healthUrl }: RunningProcess): Promise<number> {
  return (await fetch(`${healthUrl}/readyz`)).status
}

async function starving({ healthUrl }: RunningProcess): Promise<string | undefined> {
  const text = await (await fetch(`${healthUrl}/metrics`)).text()
  return /^millrace_worker_starving (\d)$/m.exec(text)?.[1]
}
