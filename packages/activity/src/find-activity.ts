import type { Status } from '@millrace/contract/statuses'
import type { Database } from '@millrace/database/connect'
import { countCap, type Page } from '@millrace/database/page'
import type { RequestStatus, RequestSurface } from '@millrace/database/tables'
import { rangeOf } from '@millrace/lifecycle/id-range'
import type { ActivityFilter } from './activity-sources.ts'
import { callModel } from './ended.ts'
import { countActivity, walkActivity } from './walk-activity.ts'

/**
 * One page of what an account asked for, newest first: predictions and calls. A page may have fewer rows than it could
 * where next to nothing fits the filter; `older` and `newer` are the ids from which it goes on, undefined at an end.
 */
export async function findActivity(db: Database, filter: ActivityFilter, page: Page): Promise<ActivityPage> {
  const { size, offset = 0, after, before } = page
  const [walked, { total, capped }] = await Promise.all([
    walkActivity(db, filter, { after, before, limit: offset + size + 1 }),
    countActivity(db, filter, countCap),
  ])
  const ids = walked.found.slice(offset, offset + size)
  const another = walked.found.length > offset + size ? ids.at(-1)?.id : walked.reached
  if (before !== undefined) ids.reverse()
  return {
    rows: await readActivity(db, ids),
    total,
    capped,
    older: before === undefined ? another : (ids.at(-1)?.id ?? before),
    newer:
      before === undefined
        ? after !== undefined || offset > 0
          ? (ids[0]?.id ?? after)
          : undefined
        : another,
  }
}

/** All rows of a filter, newest first, some at a time. */
export async function* everyActivity(
  db: Database,
  filter: ActivityFilter,
): AsyncGenerator<ActivityRow[], void> {
  let after: string | undefined
  do {
    const walked = await walkActivity(db, filter, { after, limit: atOnce })
    yield await readActivity(db, walked.found)
    after = walked.reached
  } while (after !== undefined)
}

const atOnce = 500

/** The rows of these ids, in their order, without those that are gone. */
async function readActivity(db: Database, ids: { id: string; kind: string }[]): Promise<ActivityRow[]> {
  const of = (wanted: string) => ids.flatMap(({ id, kind }) => (kind === wanted ? [id] : []))
  const [predictions, calls] = await Promise.all([
    read(db, 'read-active-predictions', predictionStatement, of('prediction')),
    read(db, 'read-active-calls', callStatement, of('call')),
  ])
  const rows = new Map([...predictions, ...calls].map((row) => [row.id, row]))
  return ids.flatMap(({ id }) => rows.get(id) ?? [])
}

async function read({ pool }: Database, name: string, text: string, ids: string[]): Promise<ActivityRow[]> {
  if (ids.length === 0) return []
  const { rows } = await pool.query<StoredRow>({ name, text, values: [ids, ...rangeOf(ids)] })
  return rows.map(({ status, ...row }) => ({ ...row, status: statusOf(status) }))
}

/** A call in the words of predictions: what took too long has failed, as its error id says. */
function statusOf(status: Status | RequestStatus): Status {
  if (status === 'running') return 'processing'
  return status === 'timeout' ? 'failed' : status
}

const seconds = (from: string, to: string) => `extract(epoch from ${to} - ${from})::float8`

// What is deleted between two statements is among the removed ones.
const predictionStatement = `
  select p.id, 'prediction' as type, p.model, p.served_by, p.status, p.error_id, p.key_id, k.name as key_name, p.request_id,
    p.created_at, p.started_at, p.completed_at as ended_at, ${seconds('p.started_at', 'p.completed_at')} as seconds,
    p.input_tokens, p.output_tokens, false as estimated, p.charged as credits, p.tags, p.source
  from (
    select id, model, served_by, status, error_id, key_id, request_id, created_at, started_at, completed_at, charged, tags, source,
      tokens_in(tags, output) as input_tokens, tokens_out(tags, output) as output_tokens
    from predictions where id = any($1::uuid[]) and id between $2 and $3 and deleted_at is null
    union all
    select id, model, served_by, status, error_id, key_id, request_id, created_at, started_at, completed_at, charged, tags, source,
      input_tokens, output_tokens
    from removed_predictions where id = any($1::uuid[])
  ) p left join lateral (select name from api_keys where id = p.key_id) k on true`

const callStatement = `
  select id, surface as type, ${callModel} as model, nullif(served_model, model) as served_by, status, error_id, key_id, key_name,
    request_id, started_at as created_at, started_at, ended_at, duration_ms / 1000.0::float8 as seconds, input_tokens, output_tokens,
    estimated, credits, '{}'::json as tags, 'api' as source
  from requests where id = any($1::uuid[]) and id between $2 and $3`

export interface ActivityPage {
  rows: ActivityRow[]
  total: number
  capped: boolean
  older: string | undefined
  newer: string | undefined
}

/** A prediction or a call. `credits` are millionths. */
export interface ActivityRow {
  id: string
  type: 'prediction' | RequestSurface
  model: string
  served_by: string | null
  status: Status
  error_id: string | null
  key_id: string | null
  key_name: string | null
  request_id: string | null
  created_at: Date
  started_at: Date | null
  ended_at: Date | null
  seconds: number | null
  input_tokens: number | null
  output_tokens: number | null
  estimated: boolean
  credits: number
  tags: Record<string, string>
  source: 'api' | 'cli' | 'web'
}

type StoredRow = Omit<ActivityRow, 'status'> & { status: Status | RequestStatus }
