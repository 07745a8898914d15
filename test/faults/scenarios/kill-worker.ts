import { fromTypeId } from '@millrace/database/ids'
import { createMany } from '../load.ts'
import { repeat } from '../repeat.ts'
import type { Scenario } from '../scenario.ts'
import { ordinary, slotsPerWorker } from '../world.ts'

export const killWorker: Scenario = {
  name: 'kill-worker',
  fault: 'kill -9 of a worker every 2 s',
  outcome: 'everything ends; no more re-runs than kills times slots',
  async run(world, { predictions, long }) {
    const killing = repeat(2_000, async () => {
      const victim = world.random.pick(world.workers)
      world.fault(`kill -9 ${victim.name}`)
      await victim.kill()
    })
    const body = () => ordinary(world, { delay_ms: 20 + world.random.below(100) })
    // A few as fast as they can be would be over before the first kill.
    const ids = await createMany(world.client, { count: predictions, body, ...(!long && { perSecond: 10 }) })
    await world.untilQuiet(240_000).finally(() => killing.stop())
    const kills = await killing.stop()
    if (kills === 0) throw new Error('No worker was killed')

    const { rows } = await world.db.pool.query<{ reruns: number }>(
      'select coalesce(sum(attempt - 1), 0)::integer as reruns from predictions where attempt > 1 and id = any($1)',
      [ids.map((id) => fromTypeId('pred', id))],
    )
    const reruns = rows[0]?.reruns ?? 0
    if (reruns > kills * slotsPerWorker) {
      throw new Error(`${kills} kills of workers with ${slotsPerWorker} slots cost ${reruns} re-runs`)
    }
    return { kills, reruns }
  },
}
