import type { Caller } from '@millrace/accounts/api-keys'
import { isTerminal } from '@millrace/contract/statuses'
import { requestCancel } from '@millrace/lifecycle/cancel'
import { findPrediction } from '@millrace/lifecycle/find'
import type { PredictionRow } from '@millrace/lifecycle/present'
import { hide } from '@millrace/lifecycle/remove'
import { ApiError } from './api-error.ts'
import type { Context } from './context.ts'

/** Deletes a prediction, and stops it first. Answers it as it was last. Throws PREDICTION_NOT_FOUND when somebody was faster. */
export async function removePrediction(
  context: Context,
  { accountId }: Caller,
  found: PredictionRow,
): Promise<PredictionRow> {
  if (!isTerminal(found.status)) {
    if ((await requestCancel(context.lifecycle, found.id)) === 'asked')
      context.queue.signal('cancel', [found.id])
    context.queue.signal('due', [found.id])
  }
  const last = (await findPrediction(context.db, accountId, found.id)) ?? found
  if (!(await hide(context.db, accountId, found.id))) throw new ApiError('PREDICTION_NOT_FOUND')
  context.queue.signal('changed', [found.id])
  return last
}
