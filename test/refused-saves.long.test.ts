import type { Database } from '@millrace/database/connect'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { startTestWorker, type TestWorker } from './given-worker.ts'
import { until } from './harness/wait.ts'

// A database can refuse a statement for many reasons that pass: a result that is finished waits for that.

let service: TestWorker
beforeEach(async () => {
  service = await startTestWorker('postgres', { LEASE_SECONDS: '2' })
})
afterEach(() => service.stop())

test.each([
  ['25006', 'read-only, as the old primary of a failover is'],
  ['57014', 'stopped by an operator, or for taking too long'],
  ['0A000', 'prepared before the table was changed'],
  ['42501', 'no permission, until somebody grants it'],
  ['XX000', 'an internal error'],
])('a result that is refused with %s (%s) is saved later, by the same attempt', async (code) => {
  const { db } = service
  const begun = await refuse(db, { code, status: 'processing', times: 6 })
  const ended = await refuse(db, { code, status: 'succeeded', times: 6 })

  const made = await service.create('echo', { text: 'finished' })

  expect(await made.reaches('succeeded', 'failed')).toMatchObject({
    status: 'succeeded',
    attempt: 1,
    output: { text: 'finished' },
  })
  expect([await begun.times(), await ended.times()]).toEqual([7, 7])
})

test('a result that is refused again and again keeps none of its neighbours from being saved', async () => {
  const { db, worker } = service
  const refusals = await refuse(db, { code: 'XX000', status: 'succeeded', times: 1_000_000, text: 'odd' })
  const texts = ['a', 'b', 'odd', 'c', 'd']
  // They end at once, so that they are saved in one batch.
  const made = await Promise.all(texts.map((text) => service.create('echo', { text, delay_ms: 500 })))
  const [odd, ...others] = [made[2], ...made.filter((_, n) => n !== 2)]

  for (const other of others) expect(await other?.reaches('succeeded')).toMatchObject({ attempt: 1 })
  const before = await refusals.times()
  await until(async () => (await refusals.times()) > before + 3, {
    within: 20_000,
    what: 'more tries to save it',
  })
  await refusals.stop()

  expect(await odd?.reaches('succeeded', 'failed')).toMatchObject({ status: 'succeeded', attempt: 1 })
  expect(worker.log()).not.toContain('left to its lease')
})

test('a result that is refused is let go once the run is somebody else’s', async () => {
  const { db, worker } = service
  const refusals = await refuse(db, { code: 'XX000', status: 'succeeded', times: 1_000_000 })
  const made = await service.create('echo', {})
  await until(async () => (await refusals.times()) > 2, { what: 'the result to be refused' })

  await db.pool.query(`update runs set worker = 'another', attempt = attempt + 1`)

  await until(() => worker.log().includes('"result":"superseded"'), { what: 'the run to be given up' })
  expect((await made.find()).status).toBe('processing')
})

/** Refuses so many moves to a status with an error code. What is counted stays when the transaction is rolled back. */
async function refuse({ pool }: Database, how: Refusal): Promise<Refusals> {
  const { code, status, times, text } = how
  const name = `refused_${status}`
  await pool.query(`create sequence ${name}`)
  await pool.query(`
    create function ${name}() returns trigger language plpgsql as $$
    begin
      if nextval('${name}') <= ${times} then raise 'refused for a test' using errcode = '${code}'; end if;
      return new;
    end $$`)
  const only = text === undefined ? '' : `and new.input ->> 'text' = '${text}'`
  await pool.query(`
    create trigger ${name} before update on predictions for each row
    when (new.status = '${status}' and old.status <> '${status}' ${only}) execute function ${name}()`)
  return {
    async times() {
      const { rows } = await pool.query<{ times: number }>(`select last_value as times from ${name}`)
      return rows[0]?.times ?? 0
    },
    async stop() {
      await pool.query(`select setval('${name}', ${times})`)
    },
  }
}

interface Refusal {
  code: string
  status: 'processing' | 'succeeded'
  times: number
  /** Refuses only predictions with this text in their input. */
  text?: string
}

interface Refusals {
  /** How often such a move was tried. */
  times(): Promise<number>
  stop(): Promise<void>
}
