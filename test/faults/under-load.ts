import { until } from '../harness/wait.ts'
import type { Entry } from './history.ts'
import { type CreateBody, createMany } from './load.ts'
import type { World } from './world.ts'

/**
 * Does `fault` while clients create, from a little after the first create on, and waits until every create is answered
 * and everything has ended. From the end of the fault on nothing may wait for long without an owner. Answers what the
 * clients saw, how long it took from the end of both to the end of all, and from the end of the fault alone to the end
 * of what was created before that.
 */
export async function underLoad(
  world: World,
  load: Load,
  fault: (creating: Creating) => Promise<void>,
): Promise<Seen> {
  const from = world.history.entries.length
  const exitsBefore = unmeantExits(world)
  const ids: string[] = []
  let over = false
  const created = createMany(world.client, { ...load, onCreated: (id) => ids.push(id) }).finally(() => {
    over = true
  })
  const suffered = fault({ ids, over: () => over })
    .then(() => clockOf(world))
    .then((at) => ({ at, owners: world.watchOwners() }))
  const [faulty] = await Promise.allSettled([suffered, created])
  if (faulty.status === 'rejected') throw faulty.reason
  const { at, owners } = faulty.value
  const quiet = created.then(() => world.untilQuiet(load.withinMs ?? 120_000, owners))
  const recoveryMs = await quiet.finally(owners.stop)
  const exits = unmeantExits(world) - exitsBefore
  if (exits > 0) throw new Error(`${exits} processes ended by themselves`)
  const outlastedMs = await outlasted(world, at)
  return { ids, answers: answersIn(world.history.entries.slice(from)), recoveryMs, outlastedMs }
}

/** The time by the database's clock, as soon as it tells it. */
function clockOf({ db }: World): Promise<string> {
  return until(
    async () => {
      const { rows } = await db.pool.query<{ at: string }>('select clock_timestamp()::text as at')
      return rows[0]?.at
    },
    { within: 30_000, what: 'the database to tell the time' },
  )
}

/** How long after `moment` the last of the predictions that were created before it ended, in milliseconds. */
async function outlasted({ db }: World, moment: string): Promise<number> {
  const { rows } = await db.pool.query<{ ms: number }>(
    `select greatest(0, extract(epoch from max(completed_at) - $1::timestamptz) * 1000)::integer as ms
     from predictions where created_at < $1::timestamptz`,
    [moment],
  )
  return rows[0]?.ms ?? 0
}

function unmeantExits({ slots }: World): number {
  return slots.reduce((sum, slot) => sum + slot.unmeantExits(), 0)
}

function answersIn(entries: Entry[]): Answers {
  const creates = entries.filter((entry) => entry.is === 'create')
  return {
    all: creates,
    slowestMs: Math.max(0, ...creates.map(({ ms }) => ms)),
    notAccepted: creates.filter(({ status }) => status !== 201),
  }
}

export interface Load {
  count: number
  perSecond?: number
  atOnce?: number
  body(nth: number): CreateBody
  /** How long everything may take to end after the fault. */
  withinMs?: number
}

/** The load as it goes on. */
export interface Creating {
  /** What was accepted so far. */
  ids: readonly string[]
  /** Whether every create has been answered. */
  over(): boolean
}

export interface Seen {
  ids: string[]
  answers: Answers
  /** From the end of the fault and of the load. */
  recoveryMs: number
  /** From the end of the fault to the end of the last prediction that was created before it. */
  outlastedMs: number
}

type Create = Extract<Entry, { is: 'create' }>

interface Answers {
  all: Create[]
  slowestMs: number
  notAccepted: Create[]
}
