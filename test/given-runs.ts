import type { Database } from '@millrace/database/connect'
import { begin } from '@millrace/lifecycle/begin'
import { claim, type Fence } from '@millrace/lifecycle/claim'
import { type Ending, settle } from '@millrace/lifecycle/settle'
import { uuidOf } from './api-caller.ts'
import { lifecycleOn } from './given-predictions.ts'

/** Plays the worker for one prediction of a service that has none: claims its run and begins it. */
export async function beginRun(db: Database, publicId: string): Promise<Fence> {
  const fence = await claimRun(db, publicId)
  await begin(lifecycleOn(db), [fence])
  return fence
}

/** Claims the run of one prediction, with all others of its model that are free. */
export async function claimRun(db: Database, publicId: string): Promise<Fence> {
  const id = uuidOf(publicId)
  const { model } = await db.kysely
    .selectFrom('runs')
    .select('model')
    .where('prediction_id', '=', id)
    .executeTakeFirstOrThrow()
  const claims = await claim(lifecycleOn(db), { model, limit: 10_000, worker: 'test', leaseSeconds: 600 })
  const own = claims.find((claimed) => claimed.id === id)
  if (!own) throw new Error(`${publicId} was not free to claim`)
  return { id, attempt: own.attempt }
}

/** Claims, begins and ends a run. */
export async function endRun(db: Database, publicId: string, how: How = { output: 'done' }): Promise<void> {
  await settleRun(db, await beginRun(db, publicId), how)
}

/** Ends a run that was begun. */
export async function settleRun(db: Database, fence: Fence, how: How = { output: 'done' }): Promise<void> {
  const ending: Ending =
    'error' in how
      ? { ...fence, verb: 'fail', error: how.error, errorId: how.errorId ?? 'MODEL_ERROR' }
      : { ...fence, verb: 'succeed', output: JSON.stringify(how.output), files: [] }
  const [row] = await settle(lifecycleOn(db), [ending])
  if (!row) throw new Error('the run was not ours to end')
}

type How = { output: unknown } | { error: string; errorId?: string }
