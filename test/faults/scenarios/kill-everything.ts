import { setTimeout as delay } from 'node:timers/promises'
import { createMany } from '../load.ts'
import type { Scenario } from '../scenario.ts'
import { ordinary } from '../world.ts'

export const killEverything: Scenario = {
  name: 'kill-everything',
  fault: 'kill -9 of every process at once, twenty times',
  outcome: 'clients that retry by key get every prediction, and everything ends',
  async run(world, { predictions, long }) {
    const kills = long ? 20 : 2
    const creating = createMany(world.client, {
      count: predictions,
      perSecond: long ? 60 : 20,
      body: () => ordinary(world, { delay_ms: world.random.below(400) }),
      patienceMs: 300_000,
    })
    for (let kill = 0; kill < kills; kill++) {
      await delay(world.random.below(long ? 1_500 : 500))
      world.fault('kill -9 of every process')
      await Promise.all(world.slots.map((slot) => slot.kill()))
      await Promise.all(world.slots.map((slot) => slot.present()))
    }
    const ids = await creating
    const recovery = await world.untilQuiet(120_000)
    if (ids.length !== predictions) throw new Error(`${predictions - ids.length} creates were refused`)
    return { kills, recovery }
  },
}
