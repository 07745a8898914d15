import { endLostRequests } from '@millrace/activity/end-lost'
import type { LoggedRequest } from '@millrace/activity/logged-request'
import { quantileOf, readUsage, sumOf, type UsageAsked, type UsageGroup } from '@millrace/activity/read-usage'
import { openRequestLog, type RequestLog } from '@millrace/activity/request-log'
import { fillUsage, mostTagValues, rollUsage } from '@millrace/activity/roll-usage'
import { type Database, transaction } from '@millrace/database/connect'
import { newId } from '@millrace/database/ids'
import { purgePredictions } from '@millrace/dispatcher/sweep/purge-predictions'
import { accept } from '@millrace/lifecycle/accept'
import { hide } from '@millrace/lifecycle/remove'
import { settle } from '@millrace/lifecycle/settle'
import { createLog } from '@millrace/process/log'
import { openStore } from '@millrace/storage/store'
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { draft, endings, givenPrediction, lifecycleOn } from './given-predictions.ts'
import { type FreshDatabase, freshDatabase } from './harness/database.ts'
import { until } from './harness/wait.ts'

let database: FreshDatabase
let db: Database
beforeEach(async () => {
  database = await freshDatabase()
  db = database.db
})
afterEach(() => database.drop())

const hour = 3_600_000
const day = 24 * hour
const accounts = [newId(), newId()]
const keys = [newId(), newId(), undefined]

function givenLog(): RequestLog {
  const log = openRequestLog({ db, log: createLog({ name: 'test', level: 'silent' }), partitions: 'month' })
  onTestFinished(() => log.close())
  return log
}

/** A day that holds everything of a test, and the days around it. */
function aroundNow(): Pick<UsageAsked, 'from' | 'to'> {
  const today = Math.floor(Date.now() / day) * day
  return { from: new Date(today - 40 * day), to: new Date(today + 2 * day) }
}

async function usageOf(asked: Partial<UsageAsked> = {}): Promise<UsageGroup[]> {
  const given = { accountId: accounts[0] ?? '', ...aroundNow(), hourly: false, by: 'all' as const, ...asked }
  const { groups, complete } = await readUsage(db, given)
  expect(complete).toBe(true)
  return groups.sort((a, b) => (a.group < b.group ? -1 : 1))
}

/** Everything that has a number. Somebody else's transaction may be in the way for a moment. */
async function rollAll(atOnce?: number): Promise<number> {
  let rolled = 0
  const isWhole = async () => {
    rolled += await rollUsage(db, atOnce)
    const { rows } = await db.pool.query<{ whole: boolean }>(
      'select rolled >= last_value or not is_called as whole from usage_state, usage_seq',
    )
    return rows[0]?.whole
  }
  await until(isWhole, { what: 'all to be counted' })
  return rolled
}

/** The same, counted from the rows themselves. What was purged is told by `gone`. */
async function countedOf(accountId: string): Promise<Counted[]> {
  const { rows } = await db.pool.query<Counted>(
    `select model as "group", count(*)::float8 as total, count(*) filter (where status = 'succeeded')::float8 as succeeded,
       count(*) filter (where status in ('failed', 'timeout'))::float8 as failed,
       count(*) filter (where status = 'cancelled')::float8 as cancelled, coalesce(sum(ms), 0)::float8 as ms,
       coalesce(sum(input), 0)::float8 as input_tokens, coalesce(sum(output), 0)::float8 as output_tokens,
       coalesce(sum(credits), 0)::float8 as credits, count(ms)::float8 as durations
     from (
       select id, model, status, round(extract(epoch from completed_at - started_at) * 1000) as ms, 0 as input, 0 as output, charged as credits
       from predictions where account_id = $1 and completed_at is not null
       union
       select id, model, status, round(extract(epoch from completed_at - started_at) * 1000), 0, 0, charged
       from removed_predictions where account_id = $1 and completed_at is not null
       union
       select id, model, status, duration_ms, input_tokens, output_tokens, credits from requests
       where account_id = $1 and ended_at is not null
     ) everything group by model order by model collate "C"`,
    [accountId],
  )
  return rows
}

const withoutBuckets = ({ buckets: _, counts, ...sums }: UsageGroup): Counted => ({
  ...(Object.fromEntries(Object.entries(sums).filter(([name]) => name !== 'live')) as Omit<
    Counted,
    'durations'
  >),
  durations: counts.reduce((sum, count) => sum + count, 0),
})

async function assertExact(): Promise<void> {
  for (const accountId of accounts) {
    const counted = await countedOf(accountId)
    const [byModel, byHour, byDay] = await Promise.all([
      usageOf({ accountId, by: 'model' }),
      usageOf({ accountId, by: 'hour', hourly: true }),
      usageOf({ accountId, by: 'day' }),
    ])
    expect(byModel.map(withoutBuckets)).toEqual(counted)
    const total = withoutBuckets(sumOf(byModel))
    expect(withoutBuckets(sumOf(byHour))).toEqual(total)
    expect(withoutBuckets(sumOf(byDay))).toEqual(total)
  }
}

test('what has ended is counted at once, and the same once it is in the totals', async () => {
  const [accountId = ''] = accounts
  const own = { accountId, model: 'echo', tags: { team: 'red' } }
  await givenPrediction(db, 'succeeded', own)
  await givenPrediction(db, 'failed', { ...own, tags: { team: 'blue' } })
  await givenPrediction(db, 'cancelled', own)
  await givenPrediction(db, 'pending', own)
  const log = givenLog()
  const start = { accountId, requestId: 'r', surface: 'chat' as const, model: 'parrot', stream: false }
  const tokens = { input: 5, output: 7, estimated: false }
  log.start(start).end({ status: 'succeeded', httpStatus: 200, durationMs: 1000, tokens })
  log.start(start).end({ status: 'timeout', httpStatus: 504, durationMs: 3000 })
  log.start(start)
  await log.flush()

  const before = await usageOf({ by: 'model' })
  expect(before).toMatchObject([
    { group: 'echo', total: 3, succeeded: 1, failed: 1, cancelled: 1 },
    { group: 'parrot', total: 2, succeeded: 1, failed: 1, ms: 4000, input_tokens: 5, output_tokens: 7 },
  ])
  expect(await rollAll()).toBe(5)
  expect(await rollUsage(db)).toBe(0)
  const after = await usageOf({ by: 'model' })
  expect(after.map(withoutBuckets)).toEqual(before.map(withoutBuckets))
  expect(await usageOf({ by: 'tag' })).toMatchObject([
    { group: '["team", "blue"]', total: 1, failed: 1 },
    { group: '["team", "red"]', total: 2, succeeded: 1, cancelled: 1 },
  ])
  expect(await usageOf({ by: 'model', tag: { name: 'team', value: 'red' } })).toMatchObject([{ total: 2 }])
  expect(await usageOf({ by: 'type' })).toMatchObject([
    { group: 'chat', total: 2 },
    { group: 'prediction', total: 3 },
  ])
  expect(await usageOf({ kind: 'chat' })).toMatchObject([{ total: 2 }])
  expect(await usageOf({ models: ['echo'] })).toMatchObject([{ total: 3 }])
  expect(await usageOf({ accountId: newId() })).toEqual([])
  const [parrot] = await usageOf({ models: ['parrot'] })
  expect(parrot && quantileOf(parrot, 0.5)).toBeCloseTo(1, 0.05)
  expect((parrot && quantileOf(parrot, 0.95)) ?? 0).toBeGreaterThan(2.8)
  expect((parrot && quantileOf(parrot, 0.95)) ?? 9).toBeLessThan(3.2)
})

test('what had ended before anything was numbered is counted once', async () => {
  const [accountId = ''] = accounts
  for (let n = 0; n < 3; n++)
    await givenPrediction(db, 'succeeded', { accountId, model: `echo-${n}`, tags: { n: 'x' } })
  const log = givenLog()
  const start = { accountId, requestId: 'r', surface: 'chat' as const, model: 'parrot', stream: false }
  log.start(start).end({ status: 'succeeded', httpStatus: 200, durationMs: 1000 })
  await log.flush()
  await db.pool.query('update outcomes set seq = null')
  await db.pool.query('update requests set seq = null')
  expect(await usageOf()).toEqual([])
  await givenPrediction(db, 'failed', { accountId, model: 'echo-3' })

  for (let more = true; more; ) more = await fillUsage(db)
  expect(await usageOf()).toMatchObject([{ total: 5, succeeded: 4, failed: 1 }])
  expect(await usageOf({ by: 'tag' })).toMatchObject([{ group: '["n", "x"]', total: 3 }])
  await rollAll()
  expect(await fillUsage(db)).toBe(false)
  expect(await usageOf()).toMatchObject([{ total: 5, succeeded: 4, failed: 1 }])
})

test('the values of a tag beyond the first thousand of a day are counted together', async () => {
  const [accountId = ''] = accounts
  const count = mostTagValues + 20
  const drafts = Array.from({ length: count }, (_, n) =>
    draft({ accountId, model: 'echo', tags: { user: `u${n}` } }),
  )
  for (let at = 0; at < count; at += 100) await accept(lifecycleOn(db), drafts.slice(at, at + 100))
  await settle(
    lifecycleOn(db),
    drafts.slice(0, 10).map(({ id }) => ({ id, attempt: 0, verb: 'cancel' as const })),
  )
  await rollAll()
  for (let at = 10; at < count; at += 200)
    await settle(
      lifecycleOn(db),
      drafts.slice(at, at + 200).map(({ id }) => ({ id, attempt: 0, verb: 'cancel' as const })),
    )
  await rollAll()

  const groups = await usageOf({ by: 'tag' })
  expect(groups).toHaveLength(mostTagValues + 1)
  expect(groups.find(({ group }) => group === '["user", null]')).toMatchObject({ total: 20 })
  expect(sumOf(groups)).toMatchObject({ total: count, cancelled: count })
})

describe('over random histories', () => {
  test.each(Array.from({ length: 3 }, (_, n) => n + 1))(
    'number %i, with deletions, purges, lost calls, late ends and rollers that die or race, usage is what a count tells',
    { timeout: 120_000 },
    async (seed) => {
      const history = new History(seed)
      for (let step = 0; step < 90; step++) {
        await history.step()
        if (step % 30 === 29) await assertExact()
      }
      await assertExact()
      await rollAll(7)
      await assertExact()
    },
  )

  /** Does one thing after another, as a seed says. */
  class History {
    private readonly open: { id: string; attempt: number; model: string; status: string }[] = []
    private readonly ended: { id: string; accountId: string }[] = []
    private readonly calls: LoggedRequest[] = []
    private readonly log = givenLog()
    private seed: number

    constructor(seed: number) {
      this.seed = seed
    }

    private under(most: number): number {
      this.seed = (this.seed * 48271) % 2147483647
      return this.seed % most
    }

    private some<T>(of: readonly T[]): T {
      return of[this.under(of.length)] as T
    }

    async step(): Promise<void> {
      const deeds = [
        () => this.create(),
        () => this.create(),
        () => this.finish(),
        () => this.finish(),
        () => this.remove(),
        () => this.purge(),
        () => this.call(),
        () => this.call(),
        () => this.endCall(),
        () => this.lose(),
        () => rollUsage(db, 1 + this.under(20)),
        () => this.race(),
        () => this.die(),
        () => this.finishAcrossRoll(),
      ]
      await this.some(deeds)()
    }

    private async create(): Promise<void> {
      const accountId = this.some(accounts)
      const keyId = this.some(keys)
      const model = this.some(['echo', 'doodle', 'ocr'])
      const tags: Record<string, string> = this.under(2) ? { team: this.some(['red', 'blue']) } : {}
      const status = this.some(['pending', 'processing'] as const)
      // Each is claimed by a model of its own name first.
      const made = draft({
        accountId,
        tags,
        ...(keyId ? { keyId } : {}),
        model,
        namespace: `line-${newId()}`,
      })
      await accept(lifecycleOn(db), [made])
      this.ended.push({ id: made.id, accountId })
      if (status === 'processing') {
        await db.pool.query(`update runs set attempt = 1, worker = 'w' where prediction_id = $1`, [made.id])
        await db.pool.query(
          `update predictions set attempt = 1, status = 'processing', started_at = created_at where id = $1`,
          [made.id],
        )
      }
      this.open.push({ id: made.id, attempt: status === 'processing' ? 1 : 0, model, status })
    }

    private take() {
      return this.open.splice(this.under(Math.max(1, this.open.length)), 1)[0]
    }

    private async finish(): Promise<void> {
      const run = this.take()
      if (!run) return
      const kinds =
        run.status === 'processing'
          ? (['succeeded', 'failed', 'cancelled'] as const)
          : (['failed', 'cancelled'] as const)
      const ending = endings({ id: run.id, attempt: run.attempt })[
        this.some<'succeeded' | 'failed' | 'cancelled'>(kinds)
      ]
      if (ending) await settle(lifecycleOn(db), [ending])
    }

    /** An end that has its number, and is committed only after others were counted. */
    private async finishAcrossRoll(): Promise<void> {
      const run = this.take()
      if (!run) return
      await transaction(db, async (client) => {
        await client.query('select pg_current_xact_id()')
        await client.query(
          `update predictions set status = 'cancelled', completed_at = greatest(clock_timestamp(), started_at), updated_at = clock_timestamp() where id = $1`,
          [run.id],
        )
        await client.query(
          `with gone as (delete from runs where prediction_id = $1)
           insert into outcomes (account_id, prediction_id, status, model)
           select account_id, id, status, model from predictions where id = $1 and deleted_at is null`,
          [run.id],
        )
        await client.query(
          `insert into removed_predictions (id, account_id, model, status, source, created_at, started_at, completed_at, seq)
           select id, account_id, model, status, source, created_at, started_at, completed_at, next_usage_seq()
           from predictions where id = $1 and deleted_at is not null
           on conflict (id) do update set status = excluded.status, completed_at = excluded.completed_at, seq = excluded.seq`,
          [run.id],
        )
        await this.call()
        await this.endCall()
        await rollUsage(db)
      })
    }

    private async remove(): Promise<void> {
      const one = this.some(this.ended)
      if (one) await hide(db, one.accountId, one.id)
    }

    /** What was deleted is purged, and now and then what was not. */
    private async purge(): Promise<void> {
      const what = this.under(2)
        ? 'deleted_at is not null'
        : `id in (select prediction_id from outcomes limit 2)`
      const context = {
        db,
        store: openStore('file:///tmp/nothing-here'),
        retention: { fileDays: 7, valueDays: 30, rowDays: 90 },
      }
      const select = `select id from predictions where completed_at is not null and ${what}`
      if (this.under(2)) await rollAll()
      // Only the brute force needs the rows: what was counted is kept for it.
      await db.pool.query(
        `insert into removed_predictions (id, account_id, model, status, source, created_at, started_at, completed_at)
         select id, account_id, model, status, source, created_at, started_at, completed_at from predictions
         where id in (${select}) and deleted_at is null and id in (select prediction_id from outcomes where seq <= (select rolled from usage_state))`,
      )
      await purgePredictions(context, select, [])
    }

    private async call(): Promise<void> {
      const keyId = this.some(keys)
      this.calls.push(
        this.log.start({
          accountId: this.some(accounts),
          requestId: `r-${newId()}`,
          ...(keyId ? { key: { id: keyId, name: 'a key' } } : {}),
          surface: this.some(['chat', 'embeddings'] as const),
          model: this.some(['parrot', 'hash-embed']),
          stream: false,
        }),
      )
      if (this.under(2)) await this.log.flush()
    }

    private async endCall(): Promise<void> {
      const call = this.calls.splice(this.under(Math.max(1, this.calls.length)), 1)[0]
      const status = this.some(['succeeded', 'failed', 'timeout', 'cancelled'] as const)
      const tokens = this.under(2)
        ? { input: this.under(100), output: this.under(100), estimated: false }
        : undefined
      call?.end({ status, httpStatus: 200, durationMs: this.under(10_000), tokens })
      await this.log.flush()
      await this.log.flush()
    }

    /** Every call under way is taken for lost; some end after all. */
    private async lose(): Promise<void> {
      await this.log.flush()
      await db.pool.query(
        `update requests set alive_at = clock_timestamp() - interval '61 seconds', started_at = clock_timestamp() - interval '62 seconds' where status = 'running'`,
      )
      await endLostRequests(db)
    }

    private async race(): Promise<void> {
      await Promise.all([rollUsage(db, 5), rollUsage(db), rollUsage(db, 3)])
    }

    /** A roller that is cut off after some of its statements. */
    private async die(): Promise<void> {
      let left = this.under(7)
      const connectDying = async () => {
        const client = await db.pool.connect()
        const query = client.query.bind(client) as (...given: unknown[]) => Promise<unknown>
        return new Proxy(client, {
          get: (target, name) =>
            name === 'query'
              ? async (...given: unknown[]) => {
                  if (given[0] !== 'rollback' && left-- <= 0) throw new Error('cut off')
                  return query(...given)
                }
              : Reflect.get(target, name)?.bind?.(target),
        })
      }
      const pool = new Proxy(db.pool, {
        get: (target, name) =>
          name === 'connect' ? connectDying : Reflect.get(target, name)?.bind?.(target),
      })
      await rollUsage({ ...db, pool }).catch(() => 0)
    }
  }
})

type Counted = Omit<UsageGroup, 'buckets' | 'counts'> & { durations: number }
