import { endpoints } from '@millrace/contract/endpoints'
import type { Delivery } from '@millrace/contract/webhook-endpoint'
import { toTypeId } from '@millrace/database/ids'
import { type DeliveryRow, listDeliveries as findDeliveries } from '@millrace/lifecycle/deliveries'
import { ownPrediction } from '../own-prediction.ts'
import { pageOf, paginationOf } from '../paging.ts'
import { route } from '../route.ts'

export const listDeliveries = route(endpoints.listDeliveries, async ({ context, caller, params, query }) => {
  const { id } = await ownPrediction(context, caller, params.id)
  const page = pageOf(query, 'msg')
  const found = await findDeliveries(context.db, id, page)
  return { data: found.rows.map(deliveryOf), pagination: paginationOf(page, found, 'msg') }
})

function deliveryOf(row: DeliveryRow): Delivery {
  return {
    id: toTypeId('msg', row.id),
    event: row.event,
    url: row.url,
    endpoint_id: row.endpoint_id && toTypeId('whe', row.endpoint_id),
    state: row.state,
    created_at: row.created_at.toISOString(),
    next_attempt_at: row.completed_at ? null : row.due_at.toISOString(),
    completed_at: row.completed_at?.toISOString() ?? null,
    attempts: row.attempts.map((attempt) => ({ ...attempt, at: new Date(attempt.at).toISOString() })),
  }
}
