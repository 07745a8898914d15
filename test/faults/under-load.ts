import type { Entry } from './history.ts'
import { type CreateBody, createMany } from './load.ts'
import type { World } from './world.ts'

/**
 * Does `fault` while clients create, from a little after the first create on, and waits until every create is answered
 * and everything has ended. Answers what the clients saw and how long it took from the end of both to the end of all.
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
  const [faulty] = await Promise.allSettled([fault({ ids, over: () => over }), created])
  if (faulty.status === 'rejected') throw faulty.reason
  await created
  const recoveryMs = await world.untilQuiet(load.withinMs ?? 120_000)
  const exits = unmeantExits(world) - exitsBefore
  if (exits > 0) throw new Error(`${exits} processes ended by themselves`)
  return { ids, answers: answersIn(world.history.entries.slice(from)), recoveryMs }
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
  recoveryMs: number
}

type Create = Extract<Entry, { is: 'create' }>

interface Answers {
  all: Create[]
  slowestMs: number
  notAccepted: Create[]
}
