import type { Receiver } from '../../harness/receiver.ts'
import { until } from '../../harness/wait.ts'
import { createMany } from '../load.ts'
import type { Scenario } from '../scenario.ts'
import { skipWaits } from '../skip-waits.ts'
import { ordinary, type World } from '../world.ts'

/** All 100 belong to one account: it has the fewest slots to share. */
export const hangingReceiver: Scenario = {
  name: 'hanging-receiver',
  shortOn: 'postgres',
  fault: 'one receiver of 100 hangs',
  outcome: 'the other 99 have as many slots as without it, and get theirs as fast',
  // What is measured are the slots of one dispatcher. A receiver hangs for longer than the others need, so that no
  // time-out gives back what it holds.
  shape: { apis: 1, dispatchers: 1, env: { WEBHOOK_TIMEOUT_SECONDS: '60', DELIVERY_SLOTS: '64' } },
  async run(world, { predictions, long }) {
    const sound = await Promise.all(Array.from({ length: 99 }, () => world.receive({})))
    const hanging = await world.receive({ hang: true })
    const told = (answer: Parameters<World['receive']>[0]) => {
      for (const one of sound) one.answerWith(answer)
    }

    world.fault('a receiver hangs')
    const gate = openGate(share)
    told(() => ({ after: gate.pass() }))
    await drain(world, { sound, hanging, each: 1 })
    await recover(world, hanging)
    await world.untilQuiet()
    if (!long) return { slots: share }

    told({ afterMs: 100 })
    // In turn, so that a machine whose speed drifts drifts for both.
    const each = Math.ceil(predictions / 600)
    let [alone, beside] = [0, 0]
    for (let turn = 0; turn < turns; turn++) {
      alone += (await drain(world, { sound, each })) / turns
      world.fault('a receiver hangs')
      beside += (await drain(world, { sound, hanging, each })) / turns
      await recover(world, hanging)
      await world.untilQuiet()
    }
    if (beside < 0.95 * alone) {
      throw new Error(
        `${Math.round(beside)} a second beside the one that hangs, ${Math.round(alone)} without it`,
      )
    }
    return { slots: share, 'per second beside it': beside, 'per second without it': alone }
  },
}

const turns = 3

/** What one account gets of the 64 slots. */
const share = 16

/** Lets nobody pass before so many wait at once. */
function openGate(wanted: number): { pass(): Promise<void> } {
  const { promise, resolve } = Promise.withResolvers<void>()
  let waiting = 0
  return {
    pass() {
      waiting++
      if (waiting === wanted) resolve()
      return promise
    },
  }
}

/**
 * Has the dispatcher find `each` deliveries for every receiver at once. Answers how many a second the sound ones got,
 * all of them while the one that hangs keeps its first attempts.
 */
async function drain(world: World, { sound, hanging, each }: Backlog): Promise<number> {
  const [dispatcher] = world.dispatchers
  if (!dispatcher) throw new Error('There is no dispatcher')
  const had = sound.map(({ requests }) => requests.length)
  const release = dispatcher.vacate()
  await dispatcher.kill()
  const targets = [...sound, ...(hanging ? [hanging] : [])].flatMap(({ url }) => Array(each).fill(url))
  // Enough to fill its share.
  if (hanging) targets.unshift(...Array(8).fill(hanging.url))
  await createMany(world.client, {
    count: targets.length,
    body: (nth) => ({ ...ordinary(world), webhook: { url: targets[nth], events: ['completed'] } }),
  })
  await allEnded(world)
  release()
  await until(() => sound.every(({ requests }, n) => requests.length >= (had[n] ?? 0) + each), {
    within: 50_000,
    what: 'every sound receiver to get its webhooks',
  })
  if (hanging) await assertStillHanging(world, hanging)
  const times = sound.flatMap(({ requests }, n) => requests.slice(had[n]).map(({ at }) => at))
  await until(async () => (await openTo(world, sound)).length === 0, { what: 'their results to be kept' })
  return (times.length / (Math.max(...times) - Math.min(...times))) * 1000
}

async function allEnded({ db }: World): Promise<void> {
  await until(
    async () => {
      const { rows } = await db.pool.query('select from runs limit 1')
      return rows.length === 0
    },
    { within: 120_000, what: 'every prediction to end' },
  )
}

async function assertStillHanging(world: World, hanging: Receiver): Promise<void> {
  const open = await openTo(world, [hanging])
  const inFlight = open.filter(({ state }) => state === 'sending').length
  if (inFlight < 8) throw new Error(`The receiver that hangs has ${inFlight} in flight`)
  if (open.some(({ attempt }) => attempt > 1)) throw new Error('The others were waited for beyond a time-out')
}

async function openTo({ db }: World, receivers: Receiver[]) {
  const { rows } = await db.pool.query<{ state: string; attempt: number }>(
    'select state, attempt from deliveries where url = any($1) and completed_at is null',
    [receivers.map(({ url }) => url)],
  )
  return rows
}

/** The one that hangs comes back and gets all that it is owed. */
async function recover(world: World, hanging: Receiver): Promise<void> {
  hanging.answerWith({})
  hanging.cut()
  await until(
    async () => {
      await skipWaits(world.db, [hanging.url])
      return (await openTo(world, [hanging])).length === 0
    },
    { within: 60_000, what: 'the receiver that hung to get its webhooks' },
  )
  hanging.answerWith({ hang: true })
}

interface Backlog {
  sound: Receiver[]
  hanging?: Receiver
  each: number
}
