import { endpoints } from '@millrace/contract/endpoints'
import { isTerminal } from '@millrace/contract/statuses'
import { present } from '@millrace/lifecycle/present'
import { cancelRun } from '../cancel-run.ts'
import { ownPrediction } from '../own-prediction.ts'
import { route } from '../route.ts'
import { waitFor } from '../wait-for.ts'

/** A running model gets this long to stop before the answer goes out. Seconds. */
const patience = 1

export const cancelPrediction = route(endpoints.cancelPrediction, async ({ context, caller, params }) => {
  const found = await ownPrediction(context, caller, params.id)
  const { id } = found
  const result = await cancelRun(context, id)
  const until = ({ status }: { status: typeof found.status }) => isTerminal(status)
  const row = await waitFor(context, {
    accountId: caller.accountId,
    id,
    seconds: result === 'asked' ? patience : 0,
    until,
  })
  return { ...present(row ?? found, context.links), success: true }
})
