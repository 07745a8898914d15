import type { Caller } from '@millrace/accounts/api-keys'
import { fromTypeId } from '@millrace/database/ids'
import { findPrediction } from '@millrace/lifecycle/find'
import type { PredictionRow } from '@millrace/lifecycle/present'
import { ApiError } from './api-error.ts'
import type { Context } from './context.ts'

/** The caller's prediction of a public id. Throws PREDICTION_NOT_FOUND, the same for malformed, unknown and foreign. */
export async function ownPrediction(
  { db }: Context,
  caller: Caller,
  publicId: string,
): Promise<PredictionRow> {
  const id = fromTypeId('pred', publicId)
  const row = id && (await findPrediction(db, caller.accountId, id))
  if (!row) throw new ApiError('PREDICTION_NOT_FOUND')
  return row
}
