import { setTimeout as delay } from 'node:timers/promises'
import { fromTypeId } from '@millrace/database/ids'
import { until } from '../../harness/wait.ts'
import { repeat } from '../repeat.ts'
import type { Figures, Scenario, Size } from '../scenario.ts'
import { type Creating, underLoad } from '../under-load.ts'
import { ordinary, type World } from '../world.ts'

/** All that can happen to the queue's Redis. Postgres is the truth and the queue a doorbell: none of it loses a thing. */
export const redisOutages: Scenario[] = [
  outage({
    name: 'redis-flushed',
    fault: 'FLUSHALL five times a second',
    seconds: { long: 20, short: 2 },
    async begin({ redis }) {
      const flushing = repeat(200, () => redis.admin.flushall())
      return async () => void (await flushing.stop())
    },
  }),
  outage({
    name: 'redis-stopped',
    fault: 'Redis stopped for 30 s',
    seconds: { long: 30, short: 3 },
    async begin({ redis }) {
      await redis.halt()
      return () => redis.start()
    },
  }),
  outage({
    name: 'redis-emptied',
    fault: 'Redis killed and started again, empty',
    seconds: { long: 0, short: 0 },
    async begin({ redis }) {
      await redis.halt()
      await redis.start()
      return async () => {}
    },
  }),
  outage({
    name: 'redis-paused',
    fault: 'SIGSTOP of Redis for 20 s',
    seconds: { long: 20, short: 3 },
    async begin({ redis }) {
      redis.signal('SIGSTOP')
      return async () => redis.signal('SIGCONT')
    },
  }),
  outage({
    name: 'redis-black-holed',
    fault: 'the way to Redis a black hole for 60 s',
    seconds: { long: 60, short: 4 },
    async begin({ slots }) {
      for (const { redis } of slots) redis?.set('black-hole')
      return async () => {
        for (const { redis } of slots) redis?.set('none')
      }
    },
  }),
  outage({
    name: 'redis-out-of-memory',
    fault: 'Redis out of memory, with nothing it may evict',
    seconds: { long: 20, short: 3 },
    async begin({ redis }) {
      await redis.admin.config('SET', 'maxmemory', '1')
      return async () => void (await redis.admin.config('SET', 'maxmemory', '0'))
    },
  }),
]

function outage({ name, fault, seconds, begin }: Outage): Scenario {
  return {
    name,
    fault,
    outcome:
      'creates are answered 201 at once, runs go on meanwhile, all is over within 60 s, no process ends',
    queues: ['redis'],
    async run(world, size) {
      const lasts = size.long ? seconds.long : seconds.short
      const body = () => ordinary(world, { delay_ms: 20 + world.random.below(80) })
      // No more than two cores can run, so that the recovery is one from the outage, not from the load.
      const perSecond = Math.min(size.predictions / (lasts + 3), 60)
      const load = { count: size.predictions, perSecond, body }
      let firstEndMs = 0
      const { answers, recoveryMs, outlastedMs } = await underLoad(world, load, async (creating) => {
        await until(() => creating.ids.length > 0, { what: 'the first create' })
        world.fault(fault)
        const end = await begin(world)
        try {
          firstEndMs = await untilOneEnds(world, creating)
          await delay(Math.max(0, lasts * 1000 - firstEndMs))
        } finally {
          await end()
          world.fault(`${fault}: over`)
        }
      })
      const refused = answers.notAccepted[0]
      if (refused) {
        throw new Error(
          `${answers.notAccepted.length} creates were not accepted, the first: ${JSON.stringify(refused)}`,
        )
      }
      return judgeTimes(size, {
        slowest_create: answers.slowestMs,
        first_end_meanwhile: firstEndMs,
        last_end_of_those_before: outlastedMs,
        recovery: recoveryMs,
      })
    },
  }
}

/** Waits, while the queue is away, for the end of a prediction that was created since. */
async function untilOneEnds({ db }: World, { ids }: Creating): Promise<number> {
  const begun = performance.now()
  const before = ids.length
  await until(
    async () => {
      const since = ids.slice(before).map((id) => fromTypeId('pred', id))
      const ended = await db.pool.query(
        'select from outcomes where prediction_id = any($1::uuid[]) limit 1',
        [since],
      )
      return ended.rowCount
    },
    { within: 30_000, what: 'a prediction to be run while the queue is away' },
  )
  return Math.round(performance.now() - begun)
}

/** A machine that does other work as well is slower than any bound: only the long run, which has it alone, judges. */
function judgeTimes(
  { long }: Size,
  figures: { slowest_create: number; last_end_of_those_before: number; recovery: number } & Figures,
): Figures {
  if (long && figures.slowest_create >= 2_000) throw new Error(`A create took ${figures.slowest_create} ms`)
  const last = figures.last_end_of_those_before
  if (long && last > 60_000) throw new Error(`What was created before the end of it took ${last} ms more`)
  if (long && figures.recovery > 60_000) throw new Error(`It took ${figures.recovery} ms to recover`)
  return figures
}

interface Outage {
  name: string
  fault: string
  seconds: { long: number; short: number }
  /** Answers what ends it. */
  begin(world: World): Promise<() => Promise<void>>
}
