import { setTimeout as delay } from 'node:timers/promises'
import { createMany } from '../load.ts'
import { repeat } from '../repeat.ts'
import type { Scenario } from '../scenario.ts'
import { ordinary, type World } from '../world.ts'

export const killApi: Scenario = {
  name: 'kill-api',
  fault: 'kill -9 of an api at random, while clients retry by key',
  outcome: 'nothing is lost, nothing double',
  async run(world, { predictions, long }) {
    const before = await countRows(world)
    const killing = repeat(200, async () => {
      await Promise.all(world.apis.map((api) => api.present()))
      await delay(world.random.below(long ? 1_500 : 300))
      const victim = world.random.pick(world.apis)
      world.fault(`kill -9 ${victim.name}`)
      await victim.kill()
    })
    const perSecond = long ? 100 : 30
    const ids = await createMany(world.client, {
      count: predictions,
      perSecond,
      body: () => ordinary(world, { delay_ms: world.random.below(100) }),
    })
    const kills = await killing.stop()
    await world.untilQuiet(120_000)

    const made = (await countRows(world)) - before
    if (made !== predictions || new Set(ids).size !== predictions) {
      throw new Error(
        `Of ${predictions} creates came ${made} predictions, answered with ${new Set(ids).size} ids`,
      )
    }
    if (kills === 0) throw new Error('No api was killed while clients created')
    return { kills }
  },
}

async function countRows({ db }: World): Promise<number> {
  const { rows } = await db.pool.query<{ count: number }>(
    'select count(*)::integer as count from predictions',
  )
  return rows[0]?.count ?? 0
}
