import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { fromTypeId } from '@millrace/database/ids'
import { until } from '../../harness/wait.ts'
import { cancel, createMany, createSurely } from '../load.ts'
import { type Notes, openNotes } from '../notes.ts'
import type { Scenario } from '../scenario.ts'
import type { Slot } from '../slot.ts'
import { ordinary, type World } from '../world.ts'

export const stoppedWorker: Scenario = {
  name: 'stopped-worker',
  fault:
    'SIGSTOP of a worker for 3 leases, between the end of a model and its save, in the save and at random, then SIGCONT',
  outcome:
    'one effective completion; what the sleeper still writes is refused, and its model aborted as it wakes',
  async run(world, { predictions, long }) {
    const notes = await openNotes()
    const body = () => ordinary(world, { delay_ms: 20 + world.random.below(200) })
    const saves: Refused[] = []
    try {
      const load = createMany(world.client, { count: predictions, perSecond: long ? 100 : 30, body })
      const moments = long
        ? [beforeTheSave, inTheSave, beforeTheSave, inTheSave]
        : [world.random.pick([beforeTheSave, inTheSave])]
      for (const [round, moment] of moments.entries()) {
        saves.push(await stopAtTheSave(world, notes, { round, moment, leases: long ? 3 : 1 }))
        if (long) await stopAtRandom(world)
      }
      await load
      const takenOverMs = Math.max(...saves.map((save) => save.takenOverMs))
      if (long && takenOverMs > 3 * world.leaseSeconds * 1000) {
        throw new Error(`a stopped worker kept its runs from the others for ${takenOverMs} ms`)
      }
      const savesRefused = saves.reduce((sum, { count }) => sum + count, 0)
      await world.untilQuiet(120_000)
      return { savesRefused, takenOverMs }
    } finally {
      for (const { signal, postgres } of world.workers) {
        await signal('SIGCONT')
        postgres.set('none')
      }
      await notes.remove()
    }
  },
}

/** The statement that a worker stops before: a save begins with the one, and with the other it holds locks. */
const beforeTheSave = 'hold-runs\0'
const inTheSave = 'settle\0'

/**
 * Stops a worker at a statement of a save: the models of the runs in it are done. Another worker does them again, and
 * before it has, the sleeper wakes, saves what it holds, and hears of the runs whose models still go on.
 */
async function stopAtTheSave(world: World, notes: Notes, { round, moment, leases }: Stop): Promise<Refused> {
  const leaseMs = world.leaseSeconds * 1000
  const { slot, longRuns } = await holderOfLongRuns(world, notes, round)
  const caught = await catchSave(world, slot, {
    moment,
    create: (nth) => createNoted(world, notes, `short-${round}-${nth}`, 200, leases * leaseMs + 500),
    done: () => notes.read().flatMap(({ name, what }) => (what === 'done' ? name : [])),
  })
  const stopped = performance.now()
  for (const { name } of caught) await until(() => begins(notes, name) === 2, soon(`${name} to begin again`))
  const takenOverMs = Math.round(performance.now() - stopped)
  await delay(Math.max(0, leases * leaseMs - (performance.now() - stopped)))

  world.fault(`SIGCONT ${slot.name}`)
  await slot.signal('SIGCONT')
  slot.postgres.set('none')
  for (const { id } of [...caught, ...longRuns]) {
    await until(() => reportOf(slot, id) === 'superseded', soon(`${slot.name} to let go of ${id}`))
  }
  for (const { name } of longRuns) {
    await until(() => notes.of(name).some(({ what }) => what === 'aborted'), soon(`${name} to be aborted`))
  }
  await Promise.all(longRuns.map(({ id }) => cancel(world.client, id)))
  for (const { id } of caught) await untilSucceededAgain(world, id)
  return { count: caught.length, takenOverMs }
}

/** Starts runs that outlast the fault, and answers who holds the first of them, with all of them that it holds. */
async function holderOfLongRuns(world: World, notes: Notes, round: number): Promise<Sleeper> {
  const runs = await Promise.all(
    Array.from({ length: 3 }, (_, nth) => createNoted(world, notes, `long-${round}-${nth}`, 120_000)),
  )
  for (const { name } of runs) await until(() => begins(notes, name) > 0, soon(`${name} to begin`))
  const holders = await Promise.all(runs.map(({ id }) => holderOf(world, id)))
  const slot = world.workers.find(({ name }) => name === holders[0])
  if (!slot) throw new Error('A run that has begun is held by nobody')
  const elsewhere = runs.filter((_, nth) => holders[nth] !== slot.name)
  await Promise.all(elsewhere.map(({ id }) => cancel(world.client, id)))
  return { slot, longRuns: runs.filter((run) => !elsewhere.includes(run)) }
}

/** Sends runs until one is done and its worker begins to save it: there the worker stops. Answers what it was about to save. */
async function catchSave(world: World, slot: Slot, { moment, create, done }: Bait): Promise<Run[]> {
  const { signal } = await slot.present()
  const runs: Run[] = []
  let caught: Run[] = []
  slot.postgres.before(
    (message) => {
      if (!message.includes(moment)) return false
      const names = new Set(done())
      caught = runs.filter(({ name, id }) => names.has(name) && message.includes(uuidOf(id)))
      return caught.length > 0
    },
    () => {
      slot.postgres.set('black-hole')
      signal('SIGSTOP')
      world.fault(`SIGSTOP ${slot.name} as it saves ${caught.map(({ id }) => id).join(' and ')}`)
    },
  )
  for (let nth = 0; caught.length === 0; nth++) {
    if (nth > 200) throw new Error(`${slot.name} saved nothing`)
    runs.push(await create(nth))
    await delay(20)
  }
  return caught
}

async function stopAtRandom(world: World): Promise<void> {
  await delay(world.random.below(1_000))
  const slot = world.random.pick(world.workers)
  world.fault(`SIGSTOP ${slot.name}`)
  await slot.signal('SIGSTOP')
  await delay(3 * world.leaseSeconds * 1000)
  world.fault(`SIGCONT ${slot.name}`)
  await slot.signal('SIGCONT')
}

async function createNoted(
  { client }: World,
  notes: Notes,
  name: string,
  delayMs: number,
  againMs = delayMs,
): Promise<Run> {
  const id = await createSurely(client, notes.body(name, delayMs, againMs), `key-${randomUUID()}`)
  if (!id) throw new Error('A create was refused')
  return { name, id }
}

const begins = (notes: Notes, name: string) => notes.of(name).filter(({ what }) => what === 'begun').length

const uuidOf = (id: string) => fromTypeId('pred', id) ?? ''

async function holderOf({ db }: World, id: string): Promise<string | undefined> {
  const { rows } = await db.pool.query('select worker from runs where prediction_id = $1', [uuidOf(id)])
  return rows[0]?.worker
}

async function untilSucceededAgain({ db }: World, id: string): Promise<void> {
  const row = await until(
    async () => {
      const { rows } = await db.pool.query(
        'select status, attempt, completed_at from predictions where id = $1',
        [uuidOf(id)],
      )
      return rows[0].completed_at && rows[0]
    },
    soon(`${id} to end`),
  )
  if (row.status !== 'succeeded' || row.attempt < 2)
    throw new Error(`${id} ${row.status} at attempt ${row.attempt}: the sleeper's save was not refused`)
}

/** What the worker's log says of its first attempt at a prediction. */
function reportOf(slot: Slot, id: string): string | undefined {
  const line = slot
    .log()
    .split('\n')
    .find((text) => text.includes(id) && text.includes('"attempt":1') && text.includes('"msg":"run"'))
  return line && JSON.parse(line).result
}

const soon = (what: string) => ({ within: 60_000, what })

interface Stop {
  round: number
  moment: string
  /** For how long it is stopped at least. */
  leases: number
}

/** How many saves were refused, and how long it took until another worker did the runs again. */
interface Refused {
  count: number
  takenOverMs: number
}

interface Run {
  name: string
  id: string
}

/** The worker to stop, and the runs that it holds whose models go on. */
interface Sleeper {
  slot: Slot
  longRuns: Run[]
}

/** How to make a short run, the names of those whose models are done, and the statement to catch one at. */
interface Bait {
  moment: string
  create(nth: number): Promise<Run>
  done(): string[]
}
