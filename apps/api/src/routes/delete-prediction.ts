import { endpoints } from '@millrace/contract/endpoints'
import { isTerminal } from '@millrace/contract/statuses'
import { requestCancel } from '@millrace/lifecycle/cancel'
import { findPrediction } from '@millrace/lifecycle/find'
import { present } from '@millrace/lifecycle/present'
import { hide } from '@millrace/lifecycle/remove'
import { ApiError } from '../api-error.ts'
import { ownPrediction } from '../own-prediction.ts'
import { route } from '../route.ts'

export const deletePrediction = route(endpoints.deletePrediction, async ({ context, caller, params }) => {
  const found = await ownPrediction(context, caller, params.id)
  if (!isTerminal(found.status)) {
    if ((await requestCancel(context.lifecycle, found.id)) === 'asked')
      context.queue.signal('cancel', [found.id])
    context.queue.signal('due', [found.id])
  }
  const last = (await findPrediction(context.db, caller.accountId, found.id)) ?? found
  if (!(await hide(context.db, caller.accountId, found.id))) throw new ApiError('PREDICTION_NOT_FOUND')
  context.queue.signal('changed', [found.id])
  return { ...present(last, context.links), success: true }
})
