import type { Database } from '@millrace/database/connect'
import { isPassing } from '@millrace/database/faults'
import { moveCredits } from '@millrace/ledger/move-credits'
import { refund } from '@millrace/ledger/refund'
import { accept, type Draft } from '@millrace/lifecycle/accept'
import { begin } from '@millrace/lifecycle/begin'
import { requestCancel } from '@millrace/lifecycle/cancel'
import { claim, type Fence } from '@millrace/lifecycle/claim'
import { endOverdue } from '@millrace/lifecycle/overdue'
import { releaseWorker } from '@millrace/lifecycle/release'
import { hide } from '@millrace/lifecycle/remove'
import { type Ending, settle } from '@millrace/lifecycle/settle'
import fc from 'fast-check'
import { cutOnce } from './cut-connections.ts'
import { givenFunds, paidDraft } from './given-credits.ts'
import { lifecycleOn } from './given-predictions.ts'

/** What may happen to an account's money; `cut` is the statement after which the connection breaks. */
export const anyStep = fc.record({
  kind: fc.constantFrom(
    ...(['create', 'create', 'create', 'again', 'succeed', 'succeed', 'fail', 'timeOut', 'cancel'] as const),
    ...(['stop', 'sweep', 'workerDies', 'delete', 'topUp', 'debit', 'refund', 'refund'] as const),
  ),
  amount: fc.integer({ min: 1, max: 60 }),
  which: fc.nat(7),
  cut: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: 6 })),
})

export type Step = typeof anyStep extends fc.Arbitrary<infer S> ? S : never

/** Runs a story on an account of its own, with 100 micros to begin with. */
export async function tell(db: Database, rounds: Step[][]): Promise<Told> {
  const story: Story = { db, accountId: await givenFunds(db, 100), drafts: [], debits: 0 }
  // What stands in one round happens at once.
  for (const round of rounds) await Promise.all(round.map((step) => happen(story, step)))
  return story
}

async function happen(story: Story, step: Step): Promise<void> {
  const { db, accountId, drafts } = story
  const draft = drafts.length === 0 ? undefined : drafts[step.which % drafts.length]
  const reason = 'a story'
  switch (step.kind) {
    case 'create':
      return create(story, step)
    case 'topUp':
      await moveCredits(db, { accountId, amount: step.amount, reason })
      return
    case 'debit':
      story.debits += step.amount
      await moveCredits(db, { accountId, amount: -step.amount, reason })
      return
    case 'sweep':
      await endOverdue(lifecycleOn(db), 0)
      return
    case 'workerDies':
      await releaseWorker(db, accountId)
      return
    default:
      if (draft) await happenTo(story, draft, step.kind, step)
  }
}

async function happenTo(
  { db, accountId }: Story,
  draft: Draft,
  kind: Exclude<Step['kind'], 'create' | 'topUp' | 'debit' | 'sweep' | 'workerDies'>,
  { amount, cut }: Step,
): Promise<unknown> {
  switch (kind) {
    case 'again':
      return surely(db, cut, (over) => accept(lifecycleOn(over), [draft]))
    case 'delete':
      return hide(db, accountId, draft.id)
    case 'cancel':
      return surely(db, cut, (over) => requestCancel(lifecycleOn(over), draft.id))
    case 'refund':
      return refund(db, { accountId, of: { predictionId: draft.id }, amount, reason: 'a story' })
    case 'succeed':
      return end(db, draft, cut, { verb: 'succeed', output: '1', files: [], usage: { page: amount } })
    case 'fail':
      return end(db, draft, cut, { verb: 'fail', error: 'It broke', errorId: 'MODEL_ERROR' })
    case 'timeOut':
      return end(db, draft, cut, { verb: 'fail', error: 'Late', errorId: 'RUN_TIMEOUT' })
    case 'stop':
      return end(db, draft, cut, { verb: 'cancel' })
    default:
      return kind satisfies never
  }
}

/** Several at once, as a batch has them, some of which cannot be paid for. */
async function create(story: Story, { amount, which, cut }: Step): Promise<void> {
  const { accountId, db } = story
  const made = Array.from({ length: 1 + (which % 3) }, (_, n) => {
    const hold = Math.max(1, amount - 15 * n)
    const key = { key: `${which}`, fingerprint: Buffer.of(1), statusCode: 201 }
    return paidDraft(accountId, hold, {
      price: { unit: 'page', rate: '1' },
      idempotency: n === 0 && which > 5 ? key : null,
    })
  })
  story.drafts.push(...made)
  await surely(db, cut, (over) => accept(lifecycleOn(over), made))
}

async function end(db: Database, draft: Draft, cut: number, ending: WithoutFence): Promise<void> {
  const lifecycle = lifecycleOn(db)
  const [held] = await claim(lifecycle, {
    model: draft.model,
    limit: 1,
    worker: draft.accountId,
    leaseSeconds: 60,
  })
  if (!held) return
  const fence: Fence = { id: held.id, attempt: held.attempt }
  await begin(lifecycle, [fence])
  await surely(db, cut, (over) => settle(lifecycleOn(over), [{ ...fence, ...ending }]))
}

/** As every process does it: what had no answer is done again, over another connection. */
async function surely<T>(db: Database, cut: number, work: (over: Database) => Promise<T>): Promise<T> {
  const over = cutOnce(db, cut)
  for (;;) {
    try {
      return await work(over)
    } catch (error) {
      if (!isPassing(error)) throw error
    }
  }
}

type WithoutFence = Ending extends infer E ? (E extends Ending ? Omit<E, keyof Fence> : never) : never

interface Story {
  db: Database
  accountId: string
  drafts: Draft[]
  /** Micros that the operator took. */
  debits: number
}

export type Told = Pick<Story, 'accountId' | 'debits'>
