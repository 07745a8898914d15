import type { Database } from '@millrace/database/connect'
import { idFloor, timeOfId } from '@millrace/database/ids'
import {
  countCap,
  type Found,
  findPage,
  highestId,
  lowestId,
  type Page,
  type Slice,
} from '@millrace/database/page'
import { sql } from 'kysely'
import { columnsOf } from './columns.ts'
import { rangeOf } from './id-range.ts'
import { candidates, type ListFilter, onePerEnding } from './list-candidates.ts'
import type { PredictionRow } from './present.ts'

/**
 * One page of an account's predictions, newest first. Each filter reads an index of its own (outcomes for ended ones,
 * runs for unfinished ones, tags), so a page by cursor costs the same at any depth and table size. Inputs and outputs
 * over 64 KB are left out and named in `truncated`.
 */
export async function listPredictions(
  db: Database,
  filter: ListFilter,
  page: Page,
): Promise<Found<ListedRow>> {
  const found = await findPage(
    page,
    (slice) => findIds(db, filter, slice),
    async () => {
      const counts = await Promise.all(onePerEnding(filter).map((part) => count(db, part)))
      return counts.reduce((sum, one) => sum + one, 0)
    },
  )
  return {
    ...found,
    rows: await readRows(
      db,
      found.rows.map(({ id }) => id),
    ),
  }
}

/** The ids of a filter, newest first: up to `size` of them, older than `after`. */
export async function listIds(
  db: Database,
  filter: ListFilter,
  { size, after = highestId }: { size: number; after?: string | undefined },
): Promise<string[]> {
  const slice = { above: lowestId, below: after, order: 'desc', limit: size, offset: 0 } as const
  return (await findIds(db, filter, slice)).map(({ id }) => id)
}

/** Values of lists over this many bytes are left out. */
const shownBytes = 64 * 1024

async function findIds(db: Database, filter: ListFilter, slice: Slice): Promise<{ id: string }[]> {
  const { offset, limit, order } = slice
  const parts = onePerEnding(filter)
  if (parts.length === 1) return findInOrder(db, filter, slice)
  const head = { ...slice, offset: 0, limit: offset + limit }
  const found = await Promise.all(parts.map((part) => findInOrder(db, part, head)))
  const ascending = found.flat().sort((a, b) => (a.id < b.id ? -1 : 1))
  return (order === 'asc' ? ascending : ascending.reverse()).slice(offset, offset + limit)
}

async function findInOrder(db: Database, filter: ListFilter, slice: Slice): Promise<{ id: string }[]> {
  const ids: { id: string }[] = []
  const order = sql.raw(slice.order)
  for (const { low, high } of windows(filter, slice)) {
    const { rows } = await sql<{ id: string }>`
      select d.id ${candidates(filter)} where d.id > ${low}::uuid and d.id < ${high}::uuid
      order by d.id ${order} limit ${slice.limit - ids.length} offset ${slice.offset}`.execute(db.kysely)
    ids.push(...rows)
    if (ids.length >= slice.limit) break
  }
  return ids
}

/**
 * The id ranges to look through, in order. By cursor they widen step by step away from it, so that a page near its
 * cursor opens few partitions; by offset there is one.
 */
function* windows(filter: ListFilter, slice: Slice): Generator<{ low: string; high: string }> {
  const { floor: from, ceiling: to } = bounds(filter)
  const [floor, ceiling] = [larger(slice.above, from), smaller(slice.below, to)]
  const upwards = slice.order === 'asc'
  const cursor = upwards ? slice.above : slice.below
  if (cursor === lowestId || cursor === highestId) {
    yield { low: floor, high: ceiling }
    return
  }
  let [low, high] = [floor, ceiling]
  for (let width = 30 * day; low < high; width *= 8) {
    const edge = idFloor(Math.max(0, timeOfId(upwards ? low : high) + (upwards ? width : -width)))
    const last = upwards ? edge >= ceiling || timeOfId(edge) > Date.now() + day : edge <= floor
    if (last) {
      yield { low, high }
      return
    }
    yield upwards ? { low, high: edge } : { low: edge, high }
    if (upwards) low = edge
    else high = edge
  }
}

const day = 86_400_000

/** In the order of the index: else Postgres may read a whole table for them, as they are so many. */
async function count(db: Database, filter: ListFilter): Promise<number> {
  const { floor, ceiling } = bounds(filter)
  const { rows } = await sql<{ total: number }>`
    select count(*) as total from (
      select d.id ${candidates(filter)} where d.id > ${floor}::uuid and d.id < ${ceiling}::uuid
      order by d.id desc limit ${countCap + 1}) as found`.execute(db.kysely)
  return rows[0]?.total ?? 0
}

function bounds({ from, to }: ListFilter): { floor: string; ceiling: string } {
  return {
    floor: from ? idFloor(from.getTime()) : lowestId,
    ceiling: to ? idFloor(to.getTime()) : highestId,
  }
}

async function readRows(db: Database, ids: string[]): Promise<ListedRow[]> {
  if (ids.length === 0) return []
  const { rows } = await db.pool.query<ListedRow>({
    name: 'read-listed',
    text: listed,
    values: [ids, ...rangeOf(ids)],
  })
  return rows.map((row) => ({ ...row, input: row.input ?? {} }))
}

const listed = `
  select ${columnsOf('p', ['input', 'output', 'sealed_input'])}, r.progress,
         null as sealed_input,
         case when octet_length(input::text) <= ${shownBytes} then input end as input,
         case when octet_length(output::text) <= ${shownBytes} then output end as output,
         array_remove(array[case when octet_length(input::text) > ${shownBytes} then 'input' end,
                            case when octet_length(output::text) > ${shownBytes} then 'output' end], null) as truncated
  from predictions p left join lateral (select progress from runs where prediction_id = p.id) r on true
  where p.id = any($1::uuid[]) and p.id between $2 and $3 and p.deleted_at is null
  order by p.id desc`

const larger = (a: string, b: string): string => (a > b ? a : b)
const smaller = (a: string, b: string): string => (a < b ? a : b)
export type ListedRow = PredictionRow & { truncated: string[] }
