import { setTimeout as delay } from 'node:timers/promises'
import { createBatcher } from '@millrace/database/batch'
import type { Database } from '@millrace/database/connect'
import { faultOf, untilReachable } from '@millrace/database/faults'
import { newId } from '@millrace/database/ids'
import type { Log } from '@millrace/process/log'
import { counter } from '@millrace/process/metrics'
import { type CallHold, type HoldAnswer, holdCalls } from './hold-calls.ts'
import { keepBalances } from './keep-balances.ts'
import { sayCallsAlive } from './say-calls-alive.ts'
import { type CallSettle, settleCalls } from './settle-calls.ts'

/**
 * Takes the money of calls for inference: holds it before a host is asked, and charges it when the call is over. Concurrent
 * calls share statements, and one statement is under way at a time, so that what is known of a balance is in order.
 *
 * A charge is no longer on its caller's way: it is tried until the database has taken it. While that is away charges wait
 * in memory; there are no more of them than calls that were under way, since no other is held for.
 */
export function openTill({ db, log, balanceWarning }: TillOptions): Till {
  /** Of what is held here. */
  const owner = newId()
  const inTurn = createLane()
  const balances = keepBalances(db, inTurn)
  /** What is held, or may be. */
  const open = new Set<string>()
  const unsettled = new Set<Promise<void>>()
  /** What is about to be given back without a charge, by the call. */
  const givingBack = new Map<string, GivingBack>()
  const stopping = new AbortController()

  const holding = createBatcher<CallHold, HoldAnswer>({
    flush: (holds) =>
      inTurn(async () => {
        const answers = await untilReachable(() => holdCalls(db, holds), patienceMs)
        for (const [at, { accountId }] of holds.entries())
          balances.learn(accountId, answers[at]?.balance ?? 0)
        return answers
      }),
    maxSize: atOnce,
    isPoison,
  })
  const settling = createBatcher<CallSettle, void>({
    flush: (settles) =>
      inTurn(async () => {
        const known = await settleCalls(db, settles, balanceWarning)
        for (const { accountId, balance } of known) balances.learn(accountId, balance)
        for (const { accountId, charge } of settles) balances.owe(accountId, -charge)
        return settles.map(() => undefined)
      }),
    maxSize: atOnce,
    isPoison,
  })

  async function settleSurely(settle: CallSettle, calledOff?: AbortSignal): Promise<void> {
    const ending = calledOff ? AbortSignal.any([stopping.signal, calledOff]) : stopping.signal
    for (let pauseMs = 100; ; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
      try {
        await settling.add({ ...settle, owner })
        break
      } catch (err) {
        if (isPoison(err)) {
          lost.inc()
          log.error({ err, settle }, 'a charge was refused by the database')
          balances.owe(settle.accountId, -settle.charge)
          break
        }
        log.warn({ err }, 'a charge could not be booked; it is tried again')
        if (ending.aborted) return
      }
      await delay(pauseMs, undefined, { signal: ending }).catch(() => undefined)
      if (calledOff?.aborted) return
    }
    open.delete(settle.id)
  }

  function settle(what: CallSettle): void {
    if (what.charge > 0) {
      balances.owe(what.accountId, what.charge)
      keepTrack(settleSurely(what))
    } else giveBack(what)
  }

  function giveBack(what: CallSettle): void {
    const stop = new AbortController()
    const done = settleSurely(what, stop.signal).finally(() => {
      if (givingBack.get(what.id)?.done === done) givingBack.delete(what.id)
    })
    givingBack.set(what.id, { stop, done })
    keepTrack(done)
  }

  function keepTrack(settling: Promise<void>): void {
    const done = settling.finally(() => unsettled.delete(done))
    unsettled.add(done)
  }

  /** A call that is tried again keeps what was held for it; else that would be taken from it in the middle. */
  async function keepHold({ stop, done }: GivingBack): Promise<void> {
    stop.abort()
    await done
  }

  const alive = setInterval(() => {
    if (open.size === 0) return
    // It locks what settles delete.
    inTurn(() => sayCallsAlive(db, [...open])).catch((err: unknown) =>
      log.debug({ err }, 'open calls could not be told'),
    )
  }, aliveEveryMs).unref()

  return {
    async hold(what, model) {
      const leaving = givingBack.get(what.id)
      if (leaving) await keepHold(leaving)
      open.add(what.id)
      try {
        const answer = await holding.add({ ...what, owner })
        if (!answer.held) open.delete(what.id)
        return answer
      } catch (error) {
        // Whether it is held is not known.
        settle({ ...what, model, charge: 0 })
        throw error
      }
    },
    settle,
    balanceOf: balances.of,
    freshBalanceOf: balances.freshOf,
    async close() {
      clearInterval(alive)
      balances.close()
      await Promise.race([Promise.all(unsettled), delay(closingMs)])
      stopping.abort()
      if (unsettled.size > 0) log.error({ charges: unsettled.size }, 'charges were not booked before the end')
    },
  }
}

/** One after the other, in the order of their coming. */
function createLane(): Lane {
  let last: Promise<unknown> = Promise.resolve()
  return (work) => {
    const done = last.then(work)
    last = done.catch(() => undefined)
    return done
  }
}

const isPoison = (error: unknown) => faultOf(error) === 'bad-row'

/** Calls in a statement. */
const atOnce = 200
/** A call that cannot be held for is told so before its client gives up. */
const patienceMs = 5_000
const longestPauseMs = 2_000
/** Leaves the end of a process a moment. */
const closingMs = 3_000
/** Three of these are missed before what is held counts as lost with its process. */
const aliveEveryMs = 20_000

const lost = counter('millrace_call_charges_lost_total', 'Charges of calls that the database refused')

/** See `openTill`. Money is in millionths of a credit. */
export interface Till {
  /** Sets money aside for a call; `model` as it was asked for. Throws what the database says. */
  hold(what: CallHold, model: string): Promise<HoldAnswer>
  /** Charges a call that is over and gives back what was held, in the background. To be called once. */
  settle(what: CallSettle): void
  /**
   * What an account has when all its calls here that are over are charged, about a second old at most. Undefined where the
   * database cannot be asked.
   */
  balanceOf(accountId: string): Promise<number | undefined>
  /** The same as of now. */
  freshBalanceOf(accountId: string): Promise<number | undefined>
  /** Books what is left, as far as the database takes it. */
  close(): Promise<void>
}

/** Does what it is given when all that came before is done. */
export type Lane = <T>(work: () => Promise<T>) => Promise<T>

interface GivingBack {
  stop: AbortController
  done: Promise<void>
}

interface TillOptions {
  db: Database
  /** Below how many micros a balance is called low; as usual unless told otherwise. */
  balanceWarning?: number
  log: Log
}
