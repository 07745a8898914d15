import { until } from '../../harness/wait.ts'
import { countReruns } from '../reruns.ts'
import type { Scenario } from '../scenario.ts'
import type { Slot } from '../slot.ts'
import { underLoad } from '../under-load.ts'
import { ordinary, type World } from '../world.ts'

export const workerCutFromQueue: Scenario = {
  name: 'worker-cut-from-queue',
  fault: 'one worker after the other cut off from the queue while it runs: refused, or in a black hole',
  outcome: 'its runs finish and are saved once, at their first attempt, and it goes on claiming',
  // On Postgres the queue is the database.
  queues: ['redis'],
  async run(world, { predictions, long }) {
    const load = {
      count: predictions,
      perSecond: long ? 80 : 12,
      body: () => ordinary(world, { delay_ms: 50 + world.random.below(long ? 200 : 500) }),
    }
    let cuts = 0
    let held = 0
    const { ids } = await underLoad(world, load, async ({ over }) => {
      for (let round = 0; long ? !over() : round < 1; round++) {
        for (const [nth, worker] of world.workers.entries()) {
          // Each of them both ways in turn.
          const how = (round + nth) % 2 === 0 ? 'refused' : 'black-hole'
          held += await cutWhileItRuns(world, worker, { how, over })
          cuts++
        }
      }
    })
    if (held === 0) throw new Error(`The workers held nothing in any of ${cuts} cuts`)
    const again = await countReruns(world, ids)
    if (again > 0) throw new Error(`${again} predictions were run again because a worker lost the queue`)
    return { cuts, held_when_cut: held }
  },
}

/** Cuts it off until it has finished what it held and claimed more. Answers how many it held. */
async function cutWhileItRuns(world: World, worker: Slot, { how, over }: Cut): Promise<number> {
  const before = await until(
    async () => {
      const held = await heldBy(world, worker)
      return (held.length > 0 || over()) && held
    },
    { within: 30_000, what: `${worker.name} to run something` },
  )
  world.fault(`${worker.name} cut off from the queue (${how})`)
  worker.redis?.set(how)
  if (how === 'refused') worker.redis?.cut('reset')
  await until(
    async () => {
      const now = await heldBy(world, worker)
      const goesOn = now.some((id) => !before.includes(id)) || over()
      return goesOn && before.every((id) => !now.includes(id))
    },
    { within: 60_000, what: `${worker.name} to finish what it runs and to claim more` },
  )
  worker.redis?.set('none')
  return before.length
}

async function heldBy({ db }: World, { name }: Slot): Promise<string[]> {
  const { rows } = await db.pool.query<{ id: string }>(
    'select prediction_id as id from runs where worker = $1',
    [name],
  )
  return rows.map(({ id }) => id)
}

interface Cut {
  how: 'refused' | 'black-hole'
  over(): boolean
}
