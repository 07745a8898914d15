import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { CreateBody } from '../load.ts'
import { type Notes, openNotes } from '../notes.ts'
import { countReruns } from '../reruns.ts'
import type { Figures, Scenario, Size } from '../scenario.ts'
import { underLoad } from '../under-load.ts'
import { ordinary, type World } from '../world.ts'

export const postgresRestarts: Scenario = {
  name: 'postgres-restarts',
  fault: 'Postgres restarted every 7 s under 50 creates a second, now in order and now as in a crash',
  // As in production: with a shorter one a busy machine alone could cost a lease.
  shape: { env: { LEASE_SECONDS: '15' } },
  outcome: 'besides 2xx only 503 with Retry-After; results are held and saved, and no model is called twice',
  async run(world, size) {
    const notes = await openNotes()
    try {
      return await restartUnderLoad(world, notes, size)
    } finally {
      await notes.remove()
    }
  },
}

async function restartUnderLoad(world: World, notes: Notes, { predictions, long }: Size): Promise<Figures> {
  // The promised five minutes on one of the queues: the other shares the code and the hour.
  const load = long
    ? { count: world.queue === 'redis' ? 15_000 : predictions, perSecond: 50 }
    : { count: predictions, perSecond: 10 }
  let restarts = 0
  const body = (nth: number) => bodyOf(world, notes, nth)
  const { ids, answers } = await underLoad(world, { ...load, body }, async ({ over }) => {
    while (long ? !over() : restarts < 2) {
      await delay(long ? 7_000 : 1_000)
      const how = restarts++ % 2 === 0 ? 'fast' : 'immediate'
      world.fault(`Postgres restarted (${how})`)
      await world.postgres.restart(how)
    }
  })
  const wrong = answers.notAccepted.find(({ status, retryAfter }) => status !== 503 || !retryAfter)
  if (wrong)
    throw new Error(`A create was answered otherwise than with 503 and Retry-After: ${JSON.stringify(wrong)}`)
  const reruns = await countReruns(world, ids)
  if (reruns > 0) throw new Error(`${reruns} predictions were run again because the database blinked`)
  return {
    restarts,
    refused: answers.notAccepted.length,
    'calls noted': callsOf(notes),
    reruns,
    slowest_create: answers.slowestMs,
  }
}

/**
 * Half of them are of a model that notes each call, whatever the database holds of it; the others write while they run.
 * One that is sent again as another prediction has another name.
 */
function bodyOf(world: World, notes: Notes, nth: number): CreateBody {
  const delayMs = 50 + world.random.below(400)
  const body = ordinary(world, { delay_ms: delayMs })
  return nth % 2 === 0 ? body : { ...body, ...notes.body(randomUUID(), delayMs) }
}

/** How often the model was called; each name is of one prediction. */
function callsOf(notes: Notes): number {
  const calls = notes.read().filter(({ what }) => what === 'begun')
  const twice = calls.length - new Set(calls.map(({ name }) => name)).size
  if (twice > 0) throw new Error(`${twice} calls of a model were repeated because the database blinked`)
  return calls.length
}
