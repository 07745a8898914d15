import { endpoints } from '@millrace/contract/endpoints'
import { present } from '@millrace/lifecycle/present'
import { ownPrediction } from '../own-prediction.ts'
import { removePrediction } from '../remove-prediction.ts'
import { route } from '../route.ts'

export const deletePrediction = route(endpoints.deletePrediction, async ({ context, caller, params }) => {
  const found = await ownPrediction(context, caller, params.id)
  const last = await removePrediction(context, caller, found)
  return { ...present(last, context.links), success: true }
})
