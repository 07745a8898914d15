import type { Database } from '@millrace/database/connect'
import { columnsOf } from './columns.ts'
import { rangeOf } from './id-range.ts'
import type { PredictionRow } from './present.ts'

/** One prediction of an account, with its run's progress; undefined when there is none, or it was deleted. */
export async function findPrediction(
  db: Database,
  accountId: string,
  id: string,
): Promise<PredictionRow | undefined> {
  const { rows } = await db.pool.query<PredictionRow>({
    name: 'find-prediction',
    text: `select ${columnsOf('p')}, r.progress, r.model as line, r.lane,
             r.worker is null and r.parked_until is null as waits, extract(epoch from r.turn)::float8 as turn
           from predictions p left join runs r on r.prediction_id = p.id
           where p.id = $2 and p.account_id = $1 and p.deleted_at is null`,
    values: [accountId, id],
  })
  return rows[0]
}

/** Those predictions of an account that are there and were not deleted, in the order of their ids. */
export async function findPredictions(
  db: Database,
  accountId: string,
  ids: string[],
): Promise<PredictionRow[]> {
  if (ids.length === 0) return []
  const { rows } = await db.pool.query<PredictionRow>({
    name: 'find-predictions',
    text: `select ${columnsOf('p')} from predictions p
           where p.id = any($2::uuid[]) and p.id between $3 and $4 and p.account_id = $1 and p.deleted_at is null
           order by p.id`,
    values: [accountId, ids, ...rangeOf(ids)],
  })
  return rows
}

/** What became of an idempotency key in the last 24 hours. */
export async function findIdempotencyKey(
  db: Database,
  accountId: string,
  key: string,
): Promise<{ fingerprint: Buffer; prediction_id: string; status_code: number } | undefined> {
  const { rows } = await db.pool.query({
    name: 'find-idempotency-key',
    text: `select fingerprint, prediction_id, status_code from idempotency_keys
           where account_id = $1 and key = $2 and created_at > clock_timestamp() - interval '24 hours'`,
    values: [accountId, key],
  })
  return rows[0]
}
