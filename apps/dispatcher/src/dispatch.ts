import { setTimeout as delay } from 'node:timers/promises'
import type { Database } from '@millrace/database/connect'
import type { Guard } from '@millrace/outbound/guard'
import type { Log } from '@millrace/process/log'
import { counter, histogram } from '@millrace/process/metrics'
import { type ClaimedDelivery, claimDue, wideEveryMs } from './claim-due.ts'
import { drop, giveBack, type Report, record, send } from './deliver.ts'
import { createLoad, type Saturation } from './load.ts'
import { type Answer, createPost } from './post.ts'
import { postponeWaiting } from './postpone.ts'
import { type PreparedDelivery, prepare, type UnwantedDelivery } from './prepare.ts'
import { createResults } from './record.ts'

/**
 * Sends what is due until it is told to stop: claims whenever there are free slots and something woke it, or a second
 * has passed. A result wakes it, too, so the next event of a prediction follows the one before at once.
 */
export function startDispatch(options: DispatchOptions): Dispatch {
  const { db, claiming, log, slots, timeoutMs } = options
  const slotsPerAccount = Math.max(1, Math.floor(slots / 4))
  const load = createLoad({ slots, slotsPerAccount })
  const post = createPost({ guard: options.guard, timeoutMs })
  // A lease outlives the request by enough to write its result.
  const leaseMs = timeoutMs + 5_000
  const results = createResults(db, leaseMs)
  const underWay = new Set<Promise<void>>()
  const bell = createBell()
  let stopping = false
  let nextWide = Number.NEGATIVE_INFINITY
  let nextPostponing = Number.NEGATIVE_INFINITY

  async function claimUntilStopped(): Promise<void> {
    while (!stopping) {
      const begun = performance.now()
      const restMs = await claimSome().catch((error: unknown) => {
        log.error({ err: error }, 'deliveries could not be claimed')
        return pollMs
      })
      if (restMs > 0) await bell.rung(restMs)
      const left = begun + Math.min(underWay.size, gatherMs) - performance.now()
      if (left > 0) await delay(left)
    }
  }

  /** Answers how long there is nothing to claim, unless the bell rings. */
  async function claimSome(): Promise<number> {
    load.sendAway(longestWaitMs)
    const limit = Math.min(load.free(), mostUnrecorded - underWay.size)
    if (limit <= 0) return pollMs
    const saturation = load.saturation()
    const begun = performance.now()
    const wide = begun >= nextWide
    const leaseSeconds = leaseMs / 1000
    const look = { limit, slotsPerAccount, leaseSeconds, saturation, wide }
    const { claimed, full, waiting } = await claimDue(claiming, look)
    // A tenth of the time at most, however much is due.
    if (wide) nextWide = Math.max(begun + wideEveryMs, performance.now() + 9 * (performance.now() - begun))
    const turns = turnsOf(claimed)
    if (waiting >= crowd && performance.now() >= nextPostponing) track(postpone(saturation))
    if (claimed.length > 0) {
      track(sendAll(turns))
      return 0
    }
    const blind = full && !wide
    return blind ? Math.max(1, nextWide - performance.now()) : pollMs
  }

  /** Where another process was faster with the one before, this one comes too early, and so does what follows it. */
  function turnsOf(claimed: ClaimedDelivery[]): Map<ClaimedDelivery, Promise<boolean>> {
    const coming = new Map<string, ClaimedDelivery>()
    return new Map(
      claimed.map((delivery) => {
        const after = delivery.after === null ? undefined : coming.get(delivery.after)
        if (delivery.after !== null && !after) return [delivery, Promise.resolve(false)]
        coming.set(delivery.id, delivery)
        return [delivery, load.turn(delivery, after)]
      }),
    )
  }

  /** One at a time, and at once again while it finds many. */
  async function postpone(saturation: Saturation): Promise<void> {
    nextPostponing = Number.POSITIVE_INFINITY
    let moved = 0
    try {
      moved = await postponeWaiting(db, saturation)
    } catch (error) {
      log.error({ err: error }, 'waiting deliveries could not be postponed')
    }
    nextPostponing = performance.now() + (moved >= crowd ? 0 : pollMs)
    if (moved > 0) bell.ring()
  }

  async function sendAll(turns: Map<ClaimedDelivery, Promise<boolean>>): Promise<void> {
    const unread = new Set(turns.keys())
    try {
      for (const one of await prepare(db, options.sealingKeys, [...unread])) {
        unread.delete(one.delivery)
        track(finish(one, turns.get(one.delivery)))
      }
    } catch (error) {
      log.error(
        { err: error },
        'claimed deliveries could not be read; they are due again when their lease ends',
      )
    }
    for (const delivery of unread) load.leave(delivery, undefined)
  }

  async function finish(
    one: PreparedDelivery | UnwantedDelivery,
    turn: Promise<boolean> | undefined,
  ): Promise<void> {
    try {
      if (one.kind === 'unwanted') await drop(results, one)
      else if (!(await turn)) await giveBack(results, one)
      else {
        const posted = await send(post, one)
        // Its slot is free, whatever recording the answer takes.
        load.leave(one.delivery, isAnswered(posted.answer), posted.verdict.state === 'delivered')
        bell.ring()
        observe(log, await record(results, posted))
      }
    } catch (error) {
      log.error(
        { err: error, delivery: one.delivery.id },
        'a result could not be recorded; the delivery is sent again',
      )
    } finally {
      load.leave(one.delivery, undefined)
      bell.ring()
    }
  }

  function track(work: Promise<void>): void {
    underWay.add(work)
    void work.finally(() => underWay.delete(work))
  }

  const loop = claimUntilStopped()

  return {
    wake: bell.ring,
    async stop(patienceMs) {
      stopping = true
      bell.ring()
      await loop
      load.sendAway(0)
      const drained = empty(underWay)
      await Promise.race([drained, new Promise((resolve) => setTimeout(resolve, patienceMs).unref())])
      await post.close()
      await drained
    },
  }
}

/**
 * What the breaker hears. A refused target counts like a silent one: its name would be looked up each time in vain, and
 * how soon it is tried again must not tell whether it exists.
 */
function isAnswered({ kind }: Answer): boolean | undefined {
  return kind === 'unsigned' ? undefined : kind === 'answered'
}

async function empty(work: Set<Promise<void>>): Promise<void> {
  while (work.size > 0) await Promise.all(work)
}

/** Rung while nobody waits, it is heard by the next one who does. */
function createBell(): Bell {
  let pending = false
  let wake: (() => void) | undefined
  return {
    ring() {
      pending = true
      wake?.()
    },
    async rung(withinMs) {
      if (!pending) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, withinMs)
          wake = () => {
            clearTimeout(timer)
            resolve()
          }
        })
      }
      wake = undefined
      pending = false
    },
  }
}

function observe(log: Log, { delivery, answer, result }: Report): void {
  attempts.inc({ result })
  duration.observe(answer.durationMs / 1000)
  const outcome = answer.kind === 'answered' ? { status: answer.statusCode } : { error: answer.error }
  const { id, attempt, event, host } = delivery
  log.info({ delivery: id, attempt, event, host, result, ms: answer.durationMs, ...outcome }, 'delivery')
}

const pollMs = 1_000

/** The next claim waits a millisecond for each that is under way, and no longer: slots that come free are filled together. */
const gatherMs = 12

/** Whoever answers as fast as before gives a slot to what was claimed ahead long before this. */
const longestWaitMs = 1_000

/** So many are under way at most: an answer holds no slot while it is being recorded. */
const mostUnrecorded = 1_024

/** So many that wait for an earlier event are worth moving out of the way. */
const crowd = 50

const attempts = counter(
  'millrace_delivery_attempts_total',
  'Webhook requests made, by what became of them',
  ['result'],
)
const duration = histogram('millrace_delivery_seconds', 'How long receivers took to answer')

export interface Dispatch {
  /** Something may be due. */
  wake(): void
  /** Claims nothing more, waits for what is under way, and cuts it off after `patienceMs`: it is due again. */
  stop(patienceMs: number): Promise<void>
}

export interface DispatchOptions {
  db: Database
  /** Opened with `claimSettings`; one connection will do. */
  claiming: Database
  guard: Guard
  sealingKeys: readonly Buffer[]
  slots: number
  timeoutMs: number
  log: Log
}

interface Bell {
  ring(): void
  rung(withinMs: number): Promise<void>
}
