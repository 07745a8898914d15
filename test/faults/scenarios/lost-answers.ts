import { fromTypeId } from '@millrace/database/ids'
import type { App } from '../../harness/processes.ts'
import { until } from '../../harness/wait.ts'
import { cancel, createMany } from '../load.ts'
import { countReruns } from '../reruns.ts'
import type { Scenario } from '../scenario.ts'
import { underLoad } from '../under-load.ts'
import { ordinary, type World } from '../world.ts'

export const lostAnswers: Scenario = {
  name: 'lost-answers',
  fault: 'the connection to Postgres cut after COMMIT was sent, 500 times, of api, worker and dispatcher',
  outcome: 'no duplicate and no loss: whatever its client did not cancel succeeds, at its first attempt',
  // As in production. What was claimed is found again within a lease, and one renewal that is lost costs no lease.
  longShape: { env: { LEASE_SECONDS: '15' } },
  async run(world, { predictions, long }) {
    const wanted = long ? 500 : 20
    const body = () => ordinary(world, { delay_ms: 20 + world.random.below(200), log: 'on its way' })
    const load = { count: predictions, atOnce: 24, body }
    const cancelled = new Set<string>()
    const losing = loseCommits(world, { wanted, every: long ? 4 : 2 })
    const { ids, answers } = await underLoad(world, load, async (creating) => {
      world.fault(`${wanted} commits without an answer`)
      const cancelling = cancelSome(world, creating, cancelled)
      while (losing.left() > 0) {
        if (creating.over()) await createMany(world.client, { ...load, count: 10 })
        else
          await until(() => creating.over() || losing.left() === 0, {
            within: 300_000,
            what: 'answers to lose',
          })
      }
      await cancelling
    })
    const wrong = answers.notAccepted.find(({ status, retryAfter }) => status !== 503 || !retryAfter)
    if (wrong) throw new Error(`Answered otherwise than with 503 and Retry-After: ${JSON.stringify(wrong)}`)
    const kept = ids.filter((id) => !cancelled.has(id))
    const { rows } = await world.db.pool.query(
      `select id, status, error from predictions where status <> 'succeeded' and id = any($1::uuid[])`,
      [kept.map((id) => fromTypeId('pred', id))],
    )
    if (rows.length > 0)
      throw new Error(`${rows.length} did not succeed, the first: ${JSON.stringify(rows[0])}`)
    const reruns = await countReruns(world, ids)
    // With the short leases of the short run a busy machine may cost one, after an answer that was lost.
    const most = long ? 0 : losing.lost().worker
    if (reruns > most) throw new Error(`${reruns} predictions were run again because answers were lost`)
    return {
      ...losing.lost(),
      reruns,
      cancelled: cancelled.size,
    }
  },
}

/** Every so many statements that commit, of each app a third, keep their answer to themselves. */
function loseCommits({ slots }: World, { wanted, every }: { wanted: number; every: number }): Losing {
  const counters = slots.map(({ app, postgres }) => {
    const siblings = slots.filter((slot) => slot.app === app).length
    const times = Math.ceil(wanted / 3 / siblings)
    return { app, times, lost: postgres.loseAnswers({ marks: committing[app], every, times }) }
  })
  const lostBy = (app: App) => sum(counters.filter((one) => one.app === app).map(({ lost }) => lost()))
  return {
    left: () => sum(counters.map(({ times, lost }) => times - lost())),
    lost: () => ({ api: lostBy('api'), worker: lostBy('worker'), dispatcher: lostBy('dispatcher') }),
  }
}

/** The end of a transaction, and the statements that are one by themselves: a Bind names them between two zeros. */
const committing: Record<App, string[]> = {
  api: [
    'commit\0',
    '\0accept\0',
    '\0accept-paid\0',
    '\0accept-told\0',
    '\0accept-scarce\0',
    '\0request-cancel\0',
  ],
  worker: ['commit\0', '\0renew\0', '\0append-events\0'],
  dispatcher: ['commit\0', '\0claim-due\0'],
}

/** Cancels every tenth as it is created, and asks again until that is answered. */
async function cancelSome(
  { client }: World,
  { ids, over }: { ids: readonly string[]; over(): boolean },
  cancelled: Set<string>,
): Promise<void> {
  for (let next = 0; !over() || next < ids.length; next += 10) {
    const id = await until(() => ids[next] ?? over(), { within: 300_000, what: 'another create' })
    if (id === true) return
    cancelled.add(id)
    await until(async () => (await cancel(client, id)).status < 300, { what: 'a cancel to be answered' })
  }
}

function sum(numbers: number[]): number {
  return numbers.reduce((total, one) => total + one, 0)
}

interface Losing {
  /** How many are still to be lost. */
  left(): number
  lost(): Record<App, number>
}
