import { until } from '../../harness/wait.ts'
import { countReruns } from '../reruns.ts'
import type { Scenario } from '../scenario.ts'
import { underLoad } from '../under-load.ts'
import { ordinary } from '../world.ts'

export const workerCutFromQueue: Scenario = {
  name: 'worker-cut-from-queue',
  fault: 'one worker after the other cut off from the queue while it runs: refused, or in a black hole',
  outcome: 'its runs finish and are saved once, at their first attempt, and it goes on claiming',
  // On Postgres the queue is the database.
  queues: ['redis'],
  async run(world, { predictions, long }) {
    const { db, workers } = world
    const holds = async (worker: string) => {
      const { rows } = await db.pool.query<{ id: string }>(
        'select prediction_id as id from runs where worker = $1',
        [worker],
      )
      return rows.map(({ id }) => id)
    }
    const held = new Set<string>()
    const load = {
      count: predictions,
      perSecond: long ? 80 : 12,
      body: () => ordinary(world, { delay_ms: 50 + world.random.below(long ? 200 : 500) }),
    }
    const { ids, recoveryMs } = await underLoad(world, load, async ({ over }) => {
      for (const [nth, worker] of workers.entries()) {
        const how = nth % 2 === 0 ? 'refused' : 'black-hole'
        const before = await until(
          async () => {
            const rows = await holds(worker.name)
            return (rows.length > 0 || over()) && rows
          },
          { within: 30_000, what: `${worker.name} to run something` },
        )
        world.fault(`${worker.name} cut off from the queue (${how})`)
        worker.redis?.set(how)
        if (how === 'refused') worker.redis?.cut('reset')
        for (const id of before) held.add(id)
        await until(
          async () => {
            const now = await holds(worker.name)
            const goesOn = now.some((id) => !held.has(id)) || over()
            return goesOn && before.every((id) => !now.includes(id))
          },
          { within: 60_000, what: `${worker.name} to finish what it runs and to claim more` },
        )
        worker.redis?.set('none')
      }
    })
    const again = await countReruns(world, ids)
    if (again > 0) throw new Error(`${again} predictions were run again because a worker lost the queue`)
    return { held_when_cut: held.size, recovery: recoveryMs }
  },
}
