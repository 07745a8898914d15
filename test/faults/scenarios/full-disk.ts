import { setTimeout as delay } from 'node:timers/promises'
import { until } from '../../harness/wait.ts'
import type { Scenario } from '../scenario.ts'
import { underLoad } from '../under-load.ts'
import { ordinary } from '../world.ts'

export const fullDisk: Scenario = {
  name: 'full-disk',
  fault: 'the disk under the database full, then freed',
  outcome: 'besides 2xx only 503 with Retry-After, and all is over without a hand',
  shape: { diskMegabytes: 768 },
  longOnly: 'mounts a small disk for the database, which only root may',
  async run(world, { predictions }) {
    const { disk } = world.postgres
    if (!disk) throw new Error('The database has no disk of its own')
    const body = () => ordinary(world, { delay_ms: 20 + world.random.below(100), padding: 'x'.repeat(2_000) })
    const load = { count: predictions, perSecond: 60, atOnce: 32, body }
    const { answers } = await underLoad(world, load, async ({ ids }) => {
      await until(() => ids.length >= predictions / 10, { within: 60_000, what: 'the first creates' })
      const since = world.history.entries.length
      await disk.fill()
      world.fault('the disk is full')
      try {
        const refused = () =>
          world.history.entries.slice(since).some((entry) => entry.is === 'create' && entry.status === 503)
        await until(refused, { within: 60_000, what: 'a create that has no room' })
        await delay(15_000)
      } finally {
        await disk.free()
        world.fault('the disk has room')
      }
    })
    const wrong = answers.notAccepted.find(({ status, retryAfter }) => status !== 503 || !retryAfter)
    if (wrong) throw new Error(`Answered otherwise than with 503 and Retry-After: ${JSON.stringify(wrong)}`)
    return { refused: answers.notAccepted.length }
  },
}
