import { databaseNow } from '@millrace/database/clock'
import { type Database, transaction } from '@millrace/database/connect'
import { faultOf } from '@millrace/database/faults'
import { idFloor } from '@millrace/database/ids'
import {
  type Partition,
  partitionedTables,
  partitionKeys,
  partitionsBefore,
  removePartition,
} from '@millrace/database/partitions'
import type { PurgeContext } from './purge.ts'

/**
 * Drops the partitions of a day or month that is over and empty: its rows have all been purged, so nothing refers to
 * them either. The whole time must be older than any row is kept, since something may still be added to what is not.
 * Each call goes on with the oldest until `endsAt`, one day or month at least; answers how many partitions it dropped.
 */
export function createPartitionDrop({
  db,
  retention,
}: Pick<PurgeContext, 'db' | 'retention'>): (endsAt: number) => Promise<number> {
  let waiting: Partition[][] = []
  let looksAt = 0

  return async (endsAt) => {
    if (waiting.length === 0 && performance.now() >= looksAt) {
      looksAt = performance.now() + hourMs
      waiting = await oldPartitions(db, retention.rowDays)
    }
    let dropped = 0
    try {
      do {
        for (const partition of await droppable(db, waiting.shift() ?? [])) {
          if (await removePartition(db.pool, partition)) dropped++
        }
      } while (waiting.length > 0 && performance.now() < endsAt)
    } catch (error) {
      // Somebody reads the whole table, a pg_dump say; what was begun is finished later.
      waiting = []
      looksAt = performance.now() + hourMs / 60
      if (faultOf(error) !== 'locked') throw error
    }
    return dropped
  }
}

/** By day or month. A day more than a row's age: clocks differ, and a row is made a little after its id. */
async function oldPartitions(db: Database, rowDays: number): Promise<Partition[][]> {
  const moment = new Date(databaseNow() - (rowDays + 1) * 86_400_000)
  const partitions = await partitionsBefore(db.pool, moment)
  const byTime = Map.groupBy(partitions, ({ from, until }) => `${from.getTime()} ${until.getTime()}`)
  return [...byTime.values()]
}

/**
 * All of them, when none of the tables has a row of that time: an event may still come to a prediction that is there,
 * and an attempt to a delivery. What a cut-off removal has begun can only be gone on with.
 */
async function droppable(db: Database, partitions: Partition[]): Promise<Partition[]> {
  const [one] = partitions
  if (one === undefined) return []
  const within = (table: string, key: string) =>
    `exists (select from ${table} where ${key} >= $1 and ${key} < $2)`
  const rows = [
    within('runs', 'prediction_id'),
    ...partitionedTables.map((table) => within(table, partitionKeys[table])),
  ]
  const filled = await transaction(db, async (client) => {
    await client.query(`set local statement_timeout = '4s'`)
    const range = [one.from, one.until].map((moment) => idFloor(moment.getTime()))
    const { rows: found } = await client.query<{ filled: boolean }>(
      `select ${rows.join(' or ')} as filled`,
      range,
    )
    return found[0]?.filled
  }).catch((error: unknown) => {
    // Just emptied and full of dead rows; after a vacuum it is quick.
    if ((error as { code?: unknown }).code !== '57014') throw error
    return true
  })
  return filled ? partitions.filter(({ state }) => state !== 'attached') : partitions
}

const hourMs = 3_600_000
