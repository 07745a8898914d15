import { setTimeout as delay } from 'node:timers/promises'
import { type Database, transaction } from '@millrace/database/connect'
import { toTypeId } from '@millrace/database/ids'
import type { History } from './history.ts'
import type { Slot } from './slot.ts'

/**
 * Puts on record what nobody has for longer than a lease, two sweeps and some slack, although a worker with free slots
 * and a dispatcher were up all the while. Time in which the database did not answer does not count; what was known
 * before it does. To be used when the fault is over.
 */
export function watchOwners({ db, history, slots, within, slotsPerWorker }: Watched): Watching {
  const stopping = new AbortController()
  const told = new Set<string>()
  let waits = new Map<string, Wait>()
  let lookedAt = performance.now()
  let blind = false

  async function look(): Promise<void> {
    const free = await freeRuns(db, slotsPerWorker)
    const now = performance.now()
    const blindMs = blind ? now - lookedAt : 0
    const healthySince = Math.max(upSince(slots, 'worker', now), upSince(slots, 'dispatcher', now))
    const before = waits
    waits = new Map(
      free.map(({ id, attempt }) => {
        const known = before.get(id)
        const since = known?.attempt === attempt ? known.since + blindMs : now
        return [id, { attempt, since: Math.max(since, healthySince) }]
      }),
    )
    for (const [id, { since }] of waits) {
      const ms = Math.round(now - since)
      if (ms <= within || told.has(id)) continue
      told.add(id)
      history.record({ is: 'ownerless', id, ms })
    }
    lookedAt = now
    blind = false
  }

  const loop = (async () => {
    while (!stopping.signal.aborted) {
      await look().catch(() => {
        blind = true
      })
      await delay(250, undefined, { signal: stopping.signal }).catch(() => {})
    }
  })()
  return {
    async stop() {
      stopping.abort()
      await loop
    },
  }
}

/** Since when one process of an app has been up, at least. */
function upSince(slots: Seen[], app: Slot['app'], now: number): number {
  return Math.min(now, ...slots.flatMap((slot) => (slot.app === app ? (slot.upSince() ?? []) : [])))
}

/**
 * What could be taken and is not. While few are held, of all and of one model, whichever worker is up has a free slot.
 * Held by somebody who was stopped is held by nobody.
 */
async function freeRuns(db: Database, slotsPerWorker: number): Promise<FreeRun[]> {
  return transaction(db, async (client) => {
    await client.query("set local statement_timeout = '2s'")
    const { rows } = await client.query<FreeRun>(
      `with held as materialized (
         select model, count(*) as runs from runs where lease_until > clock_timestamp() group by model
       )
       select prediction_id as id, r.attempt from runs r left join held h on h.model = r.model
       where (r.worker is null or r.lease_until < clock_timestamp()) and r.run_at <= clock_timestamp()
         and coalesce(h.runs, 0) < 4 and (select coalesce(sum(runs), 0) from held) < $1
       order by prediction_id limit 100`,
      [slotsPerWorker],
    )
    return rows.map(({ id, attempt }) => ({ id: toTypeId('pred', id), attempt }))
  })
}

/** Its attempt tells whether somebody had it in between. */
interface FreeRun {
  id: string
  attempt: number
}

/** `since` is by the monotonic clock, moved on by the time that does not count. */
interface Wait {
  attempt: number
  since: number
}

interface Watched {
  db: Database
  history: History
  slots: Seen[]
  /** Milliseconds. */
  within: number
  slotsPerWorker: number
}

type Seen = Pick<Slot, 'app' | 'upSince'>

export interface Watching {
  stop(): Promise<void>
}
