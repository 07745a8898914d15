import { setTimeout as delay } from 'node:timers/promises'
import { countReruns } from '../reruns.ts'
import type { Scenario } from '../scenario.ts'
import type { NetworkFault } from '../tcp-proxy.ts'
import { underLoad } from '../under-load.ts'
import { ordinary, type World } from '../world.ts'

/** Networks between the service and its database that are slow, or worse, say nothing. */
export const slowPostgres: Scenario[] = [
  network({
    name: 'postgres-far-away',
    fault: 'every answer of Postgres half a second late, then Postgres at 20 KB a second',
    seconds: { long: 30, short: 2 },
    faults: [{ delayMs: 250 }, { dripBytes: 20_000 }],
  }),
  network({
    name: 'postgres-black-holed',
    fault: 'the way to Postgres a black hole for 10 s, open connections and new ones',
    seconds: { long: 10, short: 2 },
    faults: ['black-hole'],
  }),
  network({
    name: 'postgres-half-open',
    fault: 'the other end of every connection to Postgres gone without a word, again and again',
    seconds: { long: 15, short: 1 },
    faults: ['half-open', 'half-open'],
  }),
]

function network({ name, fault, seconds, faults }: Network): Scenario {
  return {
    name,
    fault,
    shortOn: 'redis',
    outcome:
      'besides 2xx only 503 with Retry-After, all is over without a hand, and nothing is run again (leases and patience as in production)',
    longShape: { patient: true, env: { LEASE_SECONDS: '15' } },
    async run(world, { predictions, long }) {
      const lasts = long ? seconds.long : seconds.short
      const perSecond = Math.min(predictions / (lasts * faults.length + 2), 60)
      const body = () => ordinary(world, { delay_ms: 20 + world.random.below(100) })
      const { ids, answers, recoveryMs, outlastedMs } = await underLoad(
        world,
        { count: predictions, perSecond, atOnce: 32, body },
        async () => {
          await delay(500)
          for (const one of faults) {
            world.fault(`${name}: ${JSON.stringify(one)}`)
            suffer(world, one)
            await delay(lasts * 1000)
          }
          suffer(world, 'none')
          world.fault(`${name}: over`)
        },
      )
      const wrong = answers.notAccepted.find(({ status, retryAfter }) => status !== 503 || !retryAfter)
      if (wrong) throw new Error(`Answered otherwise than with 503 and Retry-After: ${JSON.stringify(wrong)}`)
      const reruns = await countReruns(world, ids)
      if (long && reruns > 0)
        throw new Error(`${reruns} predictions were run again because the network failed`)
      if (long && outlastedMs > 60_000)
        throw new Error(`What was created before the network was well took ${outlastedMs} ms more`)
      if (long && recoveryMs > 60_000) throw new Error(`It took ${recoveryMs} ms to recover`)
      return {
        refused: answers.notAccepted.length,
        reruns,
        slowest_create: answers.slowestMs,
        last_end_of_those_before: outlastedMs,
      }
    },
  }
}

function suffer({ slots }: World, fault: NetworkFault | 'half-open'): void {
  for (const { postgres } of slots) {
    if (fault === 'half-open') postgres.cut('half-open')
    else postgres.set(fault)
  }
}

interface Network {
  name: string
  fault: string
  /** Of each fault. */
  seconds: { long: number; short: number }
  faults: (NetworkFault | 'half-open')[]
}
