import type { Database } from '@millrace/database/connect'
import { prolongStarts } from '@millrace/lifecycle/overdue'
import type { Sweep } from './sweep.ts'

/** Gives what waits to begin the time back that the database was away, once for each time. */
export function createProlonging(db: Database, leaseSeconds: number): Sweep['run'] {
  let settled: number | undefined
  return async (presence) => {
    if (presence.since === settled) return undefined
    const prolonged = await prolongStarts(db, { leaseSeconds, presence })
    settled = presence.since
    return prolonged > 0 ? { prolonged } : undefined
  }
}
