import { setTimeout as delay } from 'node:timers/promises'
import { fromTypeId } from '@millrace/database/ids'
import { countReruns } from '../reruns.ts'
import type { Scenario } from '../scenario.ts'
import { underLoad } from '../under-load.ts'
import { ordinary, patienceMs, type World } from '../world.ts'

export const stalledPostgres: Scenario = {
  name: 'postgres-stalled',
  fault: 'the way to Postgres a black hole, each time for longer than a lease and less than anybody waits',
  shortOn: 'redis',
  outcome: 'no model is called twice, and everything succeeds',
  async run(world, { predictions, long }) {
    const leaseMs = world.leaseSeconds * 1000
    const stallMs = (leaseMs + patienceMs) / 2
    const load = long ? { count: predictions, perSecond: 60 } : { count: 32, perSecond: 32 }
    // Some are under way when a stall begins, and as likely done before its end as after it.
    const oneIn = long ? 16 : 4
    const body = (nth: number) =>
      ordinary(world, { delay_ms: nth % oneIn === 0 ? 1_000 + world.random.below(stallMs) : 50 })
    let stalls = 0
    const { ids } = await underLoad(world, { ...load, body }, async ({ over }) => {
      while (long ? !over() : stalls < 1) {
        await delay(long ? leaseMs : 1_000)
        stalls++
        world.fault(`Postgres is silent for ${stallMs} ms`)
        for (const { postgres } of world.slots) postgres.set('black-hole')
        await delay(stallMs)
        for (const { postgres } of world.slots) postgres.set('none')
      }
    })
    const reruns = await countReruns(world, ids)
    if (reruns > 0) throw new Error(`${reruns} predictions were run again because the database was silent`)
    const unsuccessful = await countUnsuccessful(world, ids)
    if (unsuccessful > 0) throw new Error(`${unsuccessful} predictions did not succeed`)
    return { stalls, stall: stallMs }
  },
}

async function countUnsuccessful({ db }: World, ids: readonly string[]): Promise<number> {
  const { rowCount } = await db.pool.query(
    `select from predictions where status <> 'succeeded' and id = any($1::uuid[])`,
    [ids.map((id) => fromTypeId('pred', id))],
  )
  return rowCount ?? 0
}
