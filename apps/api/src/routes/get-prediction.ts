import { createHash } from 'node:crypto'
import { endpoints } from '@millrace/contract/endpoints'
import type { Prediction } from '@millrace/contract/prediction'
import { isTerminal } from '@millrace/contract/statuses'
import type { PredictionRow } from '@millrace/lifecycle/present'
import { ApiError } from '../api-error.ts'
import { goneSignal } from '../create.ts'
import { tellCharge } from '../credits.ts'
import { presentPlaced } from '../lines.ts'
import { ownPrediction } from '../own-prediction.ts'
import { answer, answered, route } from '../route.ts'
import { waitFor } from '../wait-for.ts'

export const getPrediction = route(
  endpoints.getPrediction,
  async ({ context, caller, params, query, request, response }) => {
    const found = await ownPrediction(context, caller, params.id)
    const row = query.wait && !isTerminal(found.status) ? await waitForChange(found, query.wait) : found
    const [shown] = await Promise.all([presentPlaced(context, row), tellCharge(context, response, row)])
    const etag = etagOf(row, shown.metadata)
    response.set('etag', etag)
    if (!isTerminal(row.status)) response.set('retry-after', '1')
    if (request.get('if-none-match')?.split(/,\s*/).includes(etag)) {
      response.status(304).end()
      return answered
    }
    return answer(200, shown)

    async function waitForChange(before: PredictionRow, seconds: number): Promise<PredictionRow> {
      const until = ({ status }: PredictionRow) => status !== before.status
      const row = await waitFor(context, {
        accountId: caller.accountId,
        id: before.id,
        seconds,
        until,
        gone: goneSignal(response),
      })
      if (!row) throw new ApiError('PREDICTION_NOT_FOUND')
      return row
    }
  },
)

/**
 * What the object says, without its signed URLs: those change by the second and mean the same. Twice a day it changes
 * all the same, so that nobody keeps a URL past its end.
 */
function etagOf(row: PredictionRow, { queue, waiting_for }: Prediction['metadata']): string {
  const said = [
    row.id,
    row.status,
    row.attempt,
    row.updated_at.getTime(),
    row.progress ?? '',
    queue?.position ?? '',
    waiting_for ?? '',
    row.cancel_requested_at?.getTime(),
    row.expired_at?.getTime(),
    row.files.length > 0 ? Math.floor(Date.now() / halfDay) : '',
  ]
  return `"${createHash('sha256').update(said.join('/')).digest('base64url').slice(0, 22)}"`
}

const halfDay = 12 * 3_600_000
