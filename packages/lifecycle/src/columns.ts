import type { PredictionTable } from '@millrace/database/tables'

/**
 * All columns of a row of `predictions` but those left out, for a select list. Never `*`: a statement that is prepared by name must answer
 * the same columns after a migration added one, or PostgreSQL refuses it on that connection for good.
 */
export const columnsOf = (table: string, without: readonly (keyof PredictionTable)[] = []): string =>
  Object.keys(columns)
    .filter((column) => !without.some((one) => one === column))
    .map((column) => `${table}.${column}`)
    .join(', ')

const columns: Record<keyof PredictionTable, true> = {
  id: true,
  account_id: true,
  model: true,
  model_type: true,
  version: true,
  status: true,
  attempt: true,
  stream: true,
  source: true,
  input: true,
  sealed_input: true,
  output: true,
  error: true,
  error_id: true,
  webhook: true,
  tags: true,
  files: true,
  timeouts: true,
  created_at: true,
  updated_at: true,
  started_at: true,
  completed_at: true,
  cancel_requested_at: true,
  deleted_at: true,
  expired_at: true,
  priority: true,
  run_at: true,
  expires_in: true,
  cold_boot: true,
  served_by: true,
  retention: true,
  key_id: true,
  held: true,
  charged: true,
  request_id: true,
}
