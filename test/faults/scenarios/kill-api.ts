import { setTimeout as delay } from 'node:timers/promises'
import { createMany } from '../load.ts'
import { repeat } from '../repeat.ts'
import type { Scenario } from '../scenario.ts'
import { ordinary } from '../world.ts'

export const killApi: Scenario = {
  name: 'kill-api',
  fault: 'kill -9 of an api at random, while clients retry by key',
  outcome: 'nothing is lost, nothing double',
  async run(world, { predictions, long }) {
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

    const made = new Set(ids).size
    if (made !== predictions) throw new Error(`${predictions} creates were answered with ${made} predictions`)
    if (kills === 0) throw new Error('No api was killed while clients created')
    return { kills }
  },
}
