import { isTerminal, type Status } from '@millrace/contract/statuses'
import type { Database } from '@millrace/database/connect'
import { timeOfId } from '@millrace/database/ids'
import {
  countCap,
  type Found,
  findPage,
  highestId,
  lowestId,
  type Page,
  type Slice,
} from '@millrace/database/page'
import type { Tables } from '@millrace/database/tables'
import { type ExpressionBuilder, sql } from 'kysely'
import { rangeOf } from './id-range.ts'
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
    () => count(db, filter),
  )
  return {
    ...found,
    rows: await readRows(
      db,
      found.rows.map(({ id }) => id),
    ),
  }
}

/** Values of lists over this many bytes are left out. */
const shownBytes = 64 * 1024

async function findIds(db: Database, filter: ListFilter, slice: Slice): Promise<{ id: string }[]> {
  const ids: { id: string }[] = []
  for (const { low, high } of windows(filter, slice)) {
    const rows = await candidates(db, filter)
      .where('d.id', '>', low)
      .where('d.id', '<', high)
      .orderBy('d.id', slice.order)
      .limit(slice.limit - ids.length)
      .offset(slice.offset)
      .execute()
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
  const floor = larger(slice.above, filter.from ? idFloor(filter.from.getTime()) : lowestId)
  const ceiling = smaller(slice.below, filter.to ? idFloor(filter.to.getTime()) : highestId)
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

function candidates(db: Database, filter: ListFilter) {
  const [firstTag, ...otherTags] = Object.entries(filter.tags)
  let query = driver(db, filter, firstTag)
  for (const [name, value] of otherTags) query = query.where((eb) => hasTag(eb, filter, name, value))
  const ended = endedOf(filter)
  if (firstTag && ended) {
    query = query.where(({ exists, selectFrom }) =>
      exists(
        selectFrom('outcomes as o')
          .select('o.status')
          .whereRef('o.prediction_id', '=', 'd.id')
          .where('o.status', 'in', ended),
      ),
    )
  }
  if (needsRow(filter, firstTag)) {
    query = query.where(({ exists, selectFrom }) => {
      let row = selectFrom('predictions as p')
        .select('p.id')
        .whereRef('p.id', '=', 'd.id')
        .where('p.deleted_at', 'is', null)
      if (filter.model !== undefined) row = row.where('p.model', '=', filter.model)
      if (filter.statuses && !ended) row = row.where('p.status', 'in', filter.statuses)
      return exists(row)
    })
  }
  return query
}

/** The narrowest index that all wanted predictions are in. Several endings are merged, each in the order of its index. */
function driver(db: Database, filter: ListFilter, tag: [string, string] | undefined) {
  const { accountId, statuses } = filter
  const ended = endedOf(filter)
  const sources = tag
    ? [
        sql`select prediction_id as id from prediction_tags
           where account_id = ${accountId}::uuid and name = ${tag[0]} and value = ${tag[1]}`,
      ]
    : ended
      ? ended.map(
          (status) => sql`select prediction_id as id from outcomes
           where account_id = ${accountId}::uuid and status = ${status} ${andModel(filter)}`,
        )
      : statuses
        ? [
            sql`select prediction_id as id from runs where account_id = ${accountId}::uuid ${andModel(filter)}`,
          ]
        : [
            sql`select id from predictions
           where account_id = ${accountId}::uuid and deleted_at is null ${andModel(filter)}`,
          ]
  return db.kysely
    .selectFrom(sql<{ id: string }>`(${sql.join(sources, sql` union all `)})`.as('d'))
    .select('d.id')
}

function andModel({ model }: ListFilter) {
  return model === undefined ? sql`` : sql`and model = ${model}`
}

function needsRow(filter: ListFilter, tag: unknown): boolean {
  const unfinished = filter.statuses !== undefined && endedOf(filter) === undefined
  return unfinished || (tag !== undefined && filter.model !== undefined)
}

/** The wanted statuses, where they are terminal: those stand in `outcomes`. */
function endedOf({ statuses }: ListFilter): readonly Status[] | undefined {
  return statuses?.every(isTerminal) ? statuses : undefined
}

function hasTag(
  eb: ExpressionBuilder<Tables & { d: { id: string } }, 'd'>,
  { accountId }: ListFilter,
  name: string,
  value: string,
) {
  return eb.exists(
    eb
      .selectFrom('prediction_tags as t')
      .select('t.name')
      .whereRef('t.prediction_id', '=', 'd.id')
      .where('t.account_id', '=', accountId)
      .where('t.name', '=', name)
      .where('t.value', '=', value),
  )
}

async function count(db: Database, filter: ListFilter): Promise<number> {
  let query = candidates(db, filter)
  if (filter.from) query = query.where('d.id', '>=', idFloor(filter.from.getTime()))
  if (filter.to) query = query.where('d.id', '<', idFloor(filter.to.getTime()))
  const { total } = await db.kysely
    .selectFrom(query.limit(countCap + 1).as('some'))
    .select(({ fn }) => fn.countAll<number>().as('total'))
    .executeTakeFirstOrThrow()
  return total
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
  select p.id, account_id, p.model, model_type, p.status, p.attempt, stream, source, error, error_id, webhook, tags, files,
         timeouts, created_at, updated_at, started_at, completed_at, p.cancel_requested_at, deleted_at, expired_at, r.progress,
         null as sealed_input,
         case when octet_length(input::text) <= ${shownBytes} then input end as input,
         case when octet_length(output::text) <= ${shownBytes} then output end as output,
         array_remove(array[case when octet_length(input::text) > ${shownBytes} then 'input' end,
                            case when octet_length(output::text) > ${shownBytes} then 'output' end], null) as truncated
  from predictions p left join lateral (select progress from runs where prediction_id = p.id) r on true
  where p.id = any($1::uuid[]) and p.id between $2 and $3
  order by p.id desc`

function idFloor(milliseconds: number): string {
  const hex = Math.floor(milliseconds).toString(16).padStart(12, '0')
  return `${hex.slice(0, 8)}-${hex.slice(8)}-0000-0000-000000000000`
}

const larger = (a: string, b: string): string => (a > b ? a : b)
const smaller = (a: string, b: string): string => (a < b ? a : b)
/** What a list shows. `to` is exclusive. */
export interface ListFilter {
  accountId: string
  model?: string | undefined
  /** Any of these. Either all terminal or none. */
  statuses?: readonly Status[] | undefined
  tags: Record<string, string>
  from?: Date | undefined
  to?: Date | undefined
}

export type ListedRow = PredictionRow & { truncated: string[] }
