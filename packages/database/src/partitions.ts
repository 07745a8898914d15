import type { Connection } from './connect.ts'
import { idFloor } from './ids.ts'

/** The tables that are partitioned by the time in their ids. */
export const partitionedTables = [
  'predictions',
  'prediction_events',
  'webhook_bodies',
  'deliveries',
  'delivery_attempts',
] as const

/** Updated in place while they live: half-filled pages keep those updates HOT (measured: 93 % at 50, under 7 % at 100). */
const updated = new Set<string>(['predictions', 'deliveries'])

/**
 * Makes every partition from `daysBack` before today to 30 days ahead that is not there yet; safe to run twice at once.
 * Called by migrate, at the api's start and by the sweeper, and again when a row finds none.
 */
export async function ensurePartitions(
  connection: Connection,
  width: PartitionWidth,
  daysBack = 1,
): Promise<void> {
  const { rows } = await connection.query<{ now: Date; existing: string[] }>(
    `select clock_timestamp() as now, array(select relname::text from pg_class where relispartition and relkind = 'r') as existing`,
  )
  const now = rows[0]?.now ?? new Date()
  const existing = new Set(rows[0]?.existing)
  for (const { name, from, until } of partitionRanges(width, now, daysBack)) {
    for (const table of partitionedTables) {
      if (!existing.has(`${table}_${name}`)) await createPartition(connection, table, name, from, until)
    }
  }
}

function partitionRanges(width: PartitionWidth, now: Date, daysBack: number): PartitionRange[] {
  const day = 86_400_000
  const end = now.getTime() + 30 * day
  const ranges: PartitionRange[] = []
  let from = startOf(width, new Date(now.getTime() - daysBack * day))
  while (from.getTime() <= end) {
    const until = startOf(width, new Date(from.getTime() + (width === 'day' ? 1 : 32) * day))
    ranges.push({
      name: from
        .toISOString()
        .slice(0, width === 'day' ? 10 : 7)
        .replaceAll('-', ''),
      from,
      until,
    })
    from = until
  }
  return ranges
}

function startOf(width: PartitionWidth, time: Date): Date {
  return new Date(
    Date.UTC(time.getUTCFullYear(), time.getUTCMonth(), width === 'day' ? time.getUTCDate() : 1),
  )
}

async function createPartition(
  connection: Connection,
  table: string,
  name: string,
  from: Date,
  until: Date,
): Promise<void> {
  const storage = updated.has(table) ? ' with (fillfactor = 50)' : ''
  await connection
    .query(
      `create table if not exists ${table}_${name} partition of ${table}
       for values from ('${idFloor(from.getTime())}') to ('${idFloor(until.getTime())}')${storage}`,
    )
    .catch((error: unknown) => {
      // Another process made it (42P07, 23505), or a partition of the other width covers the range already (42P17).
      if (!['42P07', '23505', '42P17'].includes(String((error as { code?: unknown }).code))) throw error
    })
}

export type PartitionWidth = 'day' | 'month'

interface PartitionRange {
  name: string
  from: Date
  until: Date
}
