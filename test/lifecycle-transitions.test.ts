import { isTerminal, type Status, statuses } from '@millrace/contract/statuses'
import { begin } from '@millrace/lifecycle/begin'
import { claim } from '@millrace/lifecycle/claim'
import { handBack, releaseWorker } from '@millrace/lifecycle/release'
import { settle } from '@millrace/lifecycle/settle'
import { transitions, type Verb } from '@millrace/lifecycle/transitions'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { endings, givenPrediction, lifecycleOn } from './given-predictions.ts'
import { type FreshDatabase, freshDatabase } from './harness/database.ts'

let database: FreshDatabase
beforeAll(async () => {
  database = await freshDatabase()
})
afterAll(() => database.drop())

const verbs = Object.keys(transitions) as Verb[]
// One statement claims and reclaims: what it does to a pending run is the claim.
const combinations = verbs
  .flatMap((verb) => statuses.map((status) => [verb, status] as const))
  .filter(([verb, status]) => !(verb === 'reclaim' && status === 'pending'))

describe('the code', () => {
  test.each(combinations)('%s from %s', async (verb, status) => {
    const { db } = database
    const given = await givenPrediction(db, status)
    const allowed = (transitions[verb].from as readonly Status[]).includes(status)

    const moved = await perform(verb, given)

    const after = await statusOf(given.id)
    if (allowed) expect(after).toBe(transitions[verb].to === 'same' ? status : transitions[verb].to)
    else expect(after).toBe(status)
    expect(moved).toBe(allowed)
  })

  async function perform(
    verb: Verb,
    { id, attempt, draft }: Awaited<ReturnType<typeof givenPrediction>>,
  ): Promise<boolean> {
    const { db } = database
    const lifecycle = lifecycleOn(db)
    const before = await statusOf(id)
    switch (verb) {
      case 'claim':
      case 'start':
      case 'reclaim': {
        if (verb === 'reclaim') await handBack(db, 'a-worker', [{ id, attempt }])
        const taken = await claim(lifecycle, {
          model: draft.model,
          limit: 1,
          worker: 'other',
          leaseSeconds: 60,
          warm: verb === 'start',
        })
        // A pending run that is taken was claimed, any other was reclaimed: one statement does both.
        return taken.length === 1 && (before === 'pending') === (verb !== 'reclaim')
      }
      case 'begin': {
        await begin(lifecycle, [{ id, attempt }])
        return (await statusOf(id)) !== before
      }
      case 'succeed':
      case 'fail':
      case 'cancel': {
        const ending = endings({ id, attempt })[transitions[verb].to]
        const [row] = ending ? await settle(lifecycle, [ending]) : []
        return row !== undefined
      }
    }
  }
}, 60_000)

describe('the trigger', () => {
  const pairs = statuses.flatMap((from) => statuses.map((to) => [from, to] as const))

  test.each(pairs)('%s to %s', async (from, to) => {
    const { db } = database
    const { id } = await givenPrediction(db, from)
    const listed = Object.values(transitions).some(
      (one) => one.to === to && (one.from as readonly Status[]).includes(from),
    )

    const forced = db.pool.query(
      `update predictions set status = $2, attempt = greatest(attempt, 1),
         started_at = case when $2 in ('processing', 'succeeded') then coalesce(started_at, clock_timestamp())
                           when $2 in ('pending', 'starting') then null else started_at end,
         completed_at = case when $3 then greatest(clock_timestamp(), started_at) end,
         output = case when $2 = 'succeeded' then output end,
         error = case when $2 = 'failed' then 'x' end, error_id = case when $2 = 'failed' then 'x' end
       where id = $1`,
      [id, to, isTerminal(to)],
    )

    if (listed || from === to) await forced
    else await expect(forced).rejects.toThrow(`cannot go from ${from} to ${to}`)
  })

  test('an attempt never falls', async () => {
    const { id } = await givenPrediction(database.db, 'processing')

    const forced = database.db.pool.query('update predictions set attempt = 0 where id = $1', [id])

    await expect(forced).rejects.toThrow('attempt cannot fall from 1 to 0')
  })
})

test('a stale attempt moves nothing', async () => {
  const { db } = database
  const lifecycle = lifecycleOn(db)
  const first = await givenPrediction(db, 'processing')
  await releaseWorker(db, 'a-worker')
  const [second] = await claim(lifecycle, {
    model: first.draft.model,
    limit: 1,
    worker: 'another',
    leaseSeconds: 60,
  })

  const late = await settle(lifecycle, Object.values(endings(first)))

  expect(late).toEqual([undefined, undefined, undefined])
  expect(await begin(lifecycle, [first])).toEqual([undefined])
  expect(await statusOf(first.id)).toBe('processing')
  expect(second?.attempt).toBe(2)
})

async function statusOf(id: string): Promise<Status> {
  const row = await database.db.kysely
    .selectFrom('predictions')
    .select('status')
    .where('id', '=', id)
    .executeTakeFirstOrThrow()
  return row.status
}
