import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ActivityFilter } from '@millrace/activity/activity-sources'
import { type ActivityRow, everyActivity, findActivity } from '@millrace/activity/find-activity'
import type { ActivityRow as ShownRow } from '@millrace/contract/activity'
import { endpoints } from '@millrace/contract/endpoints'
import { toTypeId } from '@millrace/database/ids'
import { sanitise } from '@millrace/database/sanitise'
import type { Request, Response } from 'express'
import { ApiError } from '../api-error.ts'
import type { Context } from '../context.ts'
import { csvLine } from '../csv.ts'
import { timeRange } from '../date-range.ts'
import { keyOf, modelsOf, shownKey } from '../named-things.ts'
import { cursorOf, pageOf } from '../paging.ts'
import { answered, route } from '../route.ts'
import { tagsOf } from './list-predictions.ts'

export const listActivity = route(
  endpoints.listActivity,
  async ({ context, caller, query, request, response }) => {
    const filter: ActivityFilter = {
      accountId: caller.accountId,
      ...timeRange(query.from, query.to),
      models: modelsOf(context, query.model),
      keyId: keyOf(query.key),
      status: query.status,
      type: query.type,
      requestId: query.request_id,
      tags: tagsOf(sanitise(request.query)),
    }
    const format = query.format ?? formatOf(request)
    if (format !== 'json') {
      if (query.page !== undefined || query.cursor !== undefined || query.per_page !== undefined) {
        throw new ApiError(
          'INVALID_PARAMETER_COMBINATION',
          `${format} has no pages: leave page, per_page and cursor out.`,
        )
      }
      await sendAll(context, filter, formats[format], response)
      return answered
    }
    const page = pageOf(query, 'call')
    const found = await findActivity(context.db, filter, page)
    return {
      data: found.rows.map(shown),
      pagination: {
        current_page: page.offset === undefined ? 1 : page.offset / page.size + 1,
        per_page: page.size,
        total: found.total,
        last_page: Math.max(1, Math.ceil(found.total / page.size)),
        next_cursor: found.older === undefined ? null : cursorOf('after', toTypeId('call', found.older)),
        prev_cursor: found.newer === undefined ? null : cursorOf('before', toTypeId('call', found.newer)),
        ...(found.capped ? { total_capped: true } : {}),
      },
    }
  },
)

function formatOf(request: Request): 'json' | 'ndjson' | 'csv' {
  const accepted = request.accepts(['application/json', formats.ndjson.type, formats.csv.type])
  if (accepted === formats.ndjson.type) return 'ndjson'
  return accepted === formats.csv.type ? 'csv' : 'json'
}

/** Read as the client takes them, so that no transaction is open meanwhile and memory holds a few hundred. */
async function sendAll(
  context: Context,
  filter: ActivityFilter,
  format: Format,
  response: Response,
): Promise<void> {
  const parts = everyActivity(context.db, filter)
  // The first ones before the answer begins: what is wrong by then has a status of its own.
  const first = await parts.next()
  async function* texts(): AsyncGenerator<string, void> {
    yield format.head
    if (first.done) return
    yield first.value.map((row) => format.line(shown(row))).join('')
    for await (const rows of parts) yield rows.map((row) => format.line(shown(row))).join('')
  }
  response.status(200).set({ 'content-type': format.type, 'cache-control': 'no-store' })
  await pipeline(Readable.from(nonEmpty(texts())), response).catch((error: unknown) => {
    if (!response.destroyed) throw error
  })
}

async function* nonEmpty(texts: AsyncIterable<string>): AsyncGenerator<string, void> {
  for await (const text of texts) if (text !== '') yield text
}

function shown(row: ActivityRow): ShownRow {
  return {
    id: toTypeId(row.type === 'prediction' ? 'pred' : 'call', row.id),
    type: row.type,
    model: row.model,
    served_by: row.served_by,
    status: row.status,
    error_id: row.error_id,
    key: shownKey(row.key_id, row.key_name),
    request_id: row.request_id,
    created_at: row.created_at.toISOString(),
    started_at: row.started_at?.toISOString() ?? null,
    ended_at: row.ended_at?.toISOString() ?? null,
    seconds: row.seconds,
    tokens: { input: row.input_tokens, output: row.output_tokens, estimated: row.estimated },
    credits: row.credits / 1_000_000,
    tags: row.tags,
    source: row.source,
  }
}

const columns: Readonly<Record<string, (row: ShownRow) => string | number | boolean | null>> = {
  id: (row) => row.id,
  type: (row) => row.type,
  model: (row) => row.model,
  served_by: (row) => row.served_by,
  status: (row) => row.status,
  error_id: (row) => row.error_id,
  key_id: (row) => row.key?.id ?? null,
  key_name: (row) => row.key?.name ?? null,
  request_id: (row) => row.request_id,
  created_at: (row) => row.created_at,
  started_at: (row) => row.started_at,
  ended_at: (row) => row.ended_at,
  seconds: (row) => row.seconds,
  input_tokens: (row) => row.tokens.input,
  output_tokens: (row) => row.tokens.output,
  tokens_estimated: (row) => row.tokens.estimated,
  credits: (row) => row.credits,
  tags: (row) => JSON.stringify(row.tags),
  source: (row) => row.source,
}

const formats = {
  ndjson: { type: 'application/x-ndjson', head: '', line: (row) => `${JSON.stringify(row)}\n` },
  csv: {
    type: 'text/csv',
    head: csvLine(Object.keys(columns)),
    line: (row) => csvLine(Object.values(columns).map((read) => read(row))),
  },
} as const satisfies Record<string, Format>

interface Format {
  type: string
  /** Before the first row. */
  head: string
  line: (row: ShownRow) => string
}
