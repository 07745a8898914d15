import { createHash } from 'node:crypto'
import type { Caller } from '@millrace/accounts/api-keys'
import { findIdempotencyKey, findPrediction } from '@millrace/lifecycle/find'
import type { PredictionRow } from '@millrace/lifecycle/present'
import type { Request } from 'express'
import { ApiError } from './api-error.ts'
import type { Context } from './context.ts'

/** The Idempotency-Key of a request with the fingerprint of what it asks. Throws INVALID_PARAMETER for a bad key. */
export function idempotencyOf(request: Request, raw: Buffer | undefined): Idempotency | undefined {
  const key = request.get('idempotency-key')
  if (key === undefined) return undefined
  if (!/^[\x20-\x7e]{1,255}$/.test(key)) {
    const message = 'has 1 to 255 printable ASCII characters'
    throw new ApiError('INVALID_PARAMETER', `Idempotency-Key ${message}.`, {
      fields: [{ path: 'Idempotency-Key', message }],
    })
  }
  const fingerprint = createHash('sha256')
    .update(`${request.path}\n${request.get('prefer') ?? ''}\n`)
    .update(raw ?? '')
    .digest()
  return { key, fingerprint }
}

/**
 * What an earlier request with this key made: its first status code and the prediction as it is now; undefined for a
 * new key. Throws IDEMPOTENCY_KEY_REUSED when that request was another, PREDICTION_NOT_FOUND when it was deleted since.
 */
export async function findReplay(
  { db }: Context,
  { accountId }: Caller,
  { key, fingerprint }: Idempotency,
): Promise<Replay | undefined> {
  const found = await findIdempotencyKey(db, accountId, key)
  if (!found) return undefined
  if (!found.fingerprint.equals(fingerprint)) throw new ApiError('IDEMPOTENCY_KEY_REUSED')
  const row = await findPrediction(db, accountId, found.prediction_id)
  if (!row) throw new ApiError('PREDICTION_NOT_FOUND')
  return { statusCode: found.status_code, row }
}

/** What a create answers whose key is being accepted elsewhere at this moment. */
export function inProgress(): ApiError {
  return new ApiError('IDEMPOTENCY_IN_PROGRESS', undefined, {
    headers: { 'retry-after': '1', 'x-should-retry': 'true' },
  })
}

export interface Idempotency {
  key: string
  fingerprint: Buffer
}

export interface Replay {
  statusCode: number
  row: PredictionRow
}
