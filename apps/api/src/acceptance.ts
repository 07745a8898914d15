import { setTimeout as delay } from 'node:timers/promises'
import { createBatcher } from '@millrace/database/batch'
import { databaseNow } from '@millrace/database/clock'
import { faultOf, isUnreachable } from '@millrace/database/faults'
import { toTypeId } from '@millrace/database/ids'
import { asCredits } from '@millrace/ledger/micro'
import { accept, type Draft, type Refusal, type Verdict } from '@millrace/lifecycle/accept'
import type { Lifecycle } from '@millrace/lifecycle/lifecycle'
import type { Queue } from '@millrace/queue/open-queue'
import { ApiError } from './api-error.ts'

/**
 * Stores concurrent creates many to a statement, then rings for them. Where somebody else is accepting the idempotency
 * key of one of them, and holds it past the lock time-out, those without a key go again together and each keyed one
 * alone: who waits for a key delays its neighbours by that one time-out.
 *
 * What comes faster than it can be stored is refused at once: the waiting ones would only wait longer, each with its
 * input in memory.
 */
export function createAcceptance(lifecycle: Lifecycle, queue: Queue): Acceptance {
  async function store(drafts: Draft[]): Promise<Verdict[]> {
    if (drafts.length === 0) return []
    const accepted = await acceptSurely(lifecycle, drafts)
    ring(
      queue,
      drafts.filter((_, index) => accepted[index] === true),
    )
    return accepted
  }

  const batcher = createBatcher<Weighed, Verdict | 'alone'>({
    flush: async (batch) => {
      const drafts = batch.map(({ draft }) => draft)
      try {
        return await store(drafts)
      } catch (error) {
        if (drafts.length === 1 || faultOf(error) !== 'locked') throw error
      }
      const unkeyed = drafts.filter(({ idempotency }) => idempotency === null)
      const accepted = await store(unkeyed)
      const answers = new Map(unkeyed.map(({ id }, index) => [id, accepted[index]]))
      return drafts.map(({ id }) => answers.get(id) ?? 'alone')
    },
    // Two of them are all that may wait: the loop has but few turns a second when thousands are refused in each.
    maxSize: 250,
    maxInFlight: 2,
    weigh: ({ weight }) => weight,
    isPoison: (error) => faultOf(error) === 'bad-row',
  })
  const waiting = { drafts: 0, weight: 0 }

  const isFull = () => waiting.drafts >= most.drafts || waiting.weight >= most.weight

  function refuseWhenFull(): void {
    if (isFull()) throw tooMany()
  }

  return {
    isFull,
    refuseWhenFull,
    async add(draft) {
      refuseWhenFull()
      const weight = JSON.stringify(draft.input).length
      waiting.drafts++
      waiting.weight += weight
      try {
        const answer = await batcher.add({ draft, weight })
        if (answer !== 'alone') return acceptedOrThrow(draft, answer)
        const [verdict = false] = await store([draft])
        return acceptedOrThrow(draft, verdict)
      } finally {
        waiting.drafts--
        waiting.weight -= weight
      }
    },
  }
}

function acceptedOrThrow({ hold = 0 }: Draft, verdict: Verdict): boolean {
  if (typeof verdict === 'object') throw unpaid(verdict, hold)
  return verdict
}

/** What a request is refused with that its account cannot pay for. */
export function unpaid(refusal: Refusal, hold: number): ApiError {
  const { errorId, available } = refusal
  const estimate = `The estimate is ${asCredits(hold)} credits`
  if (errorId === 'BUDGET_EXCEEDED') {
    const budget = toTypeId('budget', refusal.budgetId)
    const left = asCredits(Math.max(0, available))
    return new ApiError(errorId, `${estimate}, and the budget ${budget} has ${left} left.`)
  }
  return errorId === 'PAYMENT_REQUIRED'
    ? new ApiError(
        errorId,
        `${estimate}, and the balance of this account is below zero: ${asCredits(available)} credits.`,
      )
    : new ApiError(errorId, `${estimate}, and this account has ${asCredits(available)} available.`)
}

/** What a create is refused with while as many wait as can. */
export function tooMany(): ApiError {
  return new ApiError('SERVICE_UNAVAILABLE', 'More predictions are being created than can be stored.')
}

/** That may wait to be stored at once, in one process: several batches, and what fits into its memory. */
const most = { drafts: 500, weight: 128 * 1024 * 1024 }

/**
 * When the connection breaks the outcome is unknown: the same batch goes again with the same ids, which stores nothing
 * twice, until the outcome is known or 5 s have passed.
 */
async function acceptSurely(lifecycle: Lifecycle, drafts: Draft[]): Promise<Verdict[]> {
  const deadline = performance.now() + 5_000
  for (;;) {
    try {
      return await accept(lifecycle, drafts)
    } catch (error) {
      if (!isUnreachable(error)) throw error
      if (performance.now() > deadline) throw new ApiError('SERVICE_UNAVAILABLE', outcomeUnknown)
      await delay(100)
    }
  }
}

function ring(queue: Queue, drafts: Draft[]): void {
  // What starts later is rung for when it is due.
  const due = drafts.filter(({ runAt }) => runAt === null || runAt.getTime() <= databaseNow())
  for (const { pool, model, namespace = model } of due) queue.ring(pool, namespace)
  const opened = drafts.filter(({ webhook }) => webhook?.events.includes('prediction.created'))
  if (opened.length > 0)
    queue.signal(
      'due',
      opened.map(({ id }) => id),
    )
}

const outcomeUnknown =
  'The database could not be reached, and whether the prediction was accepted is not known. Send the same request again with the same Idempotency-Key.'

export interface Acceptance {
  /**
   * Answers true when stored, false when its idempotency key was taken. Throws INSUFFICIENT_CREDITS, PAYMENT_REQUIRED or
   * BUDGET_EXCEEDED where its account cannot pay for it, and 55P03 when its key is being decided on elsewhere.
   */
  add(draft: Draft): Promise<boolean>
  /** As many wait as can. */
  isFull(): boolean
  /** Throws SERVICE_UNAVAILABLE when too many wait, as `add` does: before anything is done for one that it would refuse. */
  refuseWhenFull(): void
}

interface Weighed {
  draft: Draft
  weight: number
}
