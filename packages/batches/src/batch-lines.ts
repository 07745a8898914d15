import type { Database } from '@millrace/database/connect'
import type { BatchLineAnswer, BatchLineTable } from '@millrace/database/tables'
import type { Selectable } from 'kysely'
import type { HeldBatch } from './hold-batches.ts'

/**
 * Takes the next lines of the file: each gets its row, with the id that its prediction will have, and the batch notes how
 * far it was read. One statement, so that a line is taken once. Answers false when the batch is somebody else's by now.
 */
export async function takeLines(
  db: Database,
  batch: HeldBatch,
  lines: NewLine[],
  readTo: number,
): Promise<boolean> {
  const { rowCount } = await db.pool.query(
    `with held as (
       update batches set read_lines = read_lines + $4, read_bytes = $5
       where id = $1 and worker = $2 and read_lines = $6 returning id
     )
     insert into batch_lines (batch_id, line, custom_id, at, bytes, prediction_id)
     select held.id, l.line, l.custom_id, l.at, l.bytes, l.prediction_id
     from held, json_to_recordset($3) as l(line integer, custom_id text, at bigint, bytes integer, prediction_id uuid)`,
    [batch.id, batch.worker, JSON.stringify(lines), lines.length, readTo, batch.read_lines],
  )
  return (rowCount ?? 0) === lines.length
}

/** Lines without an end, in their order; those that run with their prediction's status, null where there is none. */
export async function openLines(db: Database, batchId: string): Promise<OpenLine[]> {
  const { rows } = await db.pool.query<OpenLine>({
    name: 'open-lines',
    text: `
      with open as materialized (
        select * from batch_lines where batch_id = $1 and state in ('taken', 'running') order by line
      ), edges as (select min(prediction_id::text)::uuid as low, max(prediction_id::text)::uuid as high from open)
      select open.*, p.status from open left join predictions p on p.id = open.prediction_id
        and p.id between (select low from edges) and (select high from edges)
      order by open.line`,
    values: [batchId],
  })
  return rows
}

/** Notes that lines run. */
export async function linesRun(db: Database, batchId: string, lines: number[]): Promise<void> {
  if (lines.length === 0) return
  await db.pool.query(
    `update batch_lines set state = 'running' where batch_id = $1 and line = any($2::integer[]) and state = 'taken'`,
    [batchId, lines],
  )
}

/** Notes how lines ended, and counts them: each once, however often it is said. */
export async function linesEnded(db: Database, batchId: string, ends: LineEnd[]): Promise<void> {
  if (ends.length === 0) return
  await db.pool.query(
    `with ended as (
       update batch_lines l set state = e.state, answer = e.answer::json
       from json_to_recordset($2) as e(line integer, state text, answer text)
       where l.batch_id = $1 and l.line = e.line and l.state in ('taken', 'running') returning l.state
     )
     update batches set completed = completed + (select count(*) from ended where state = 'completed'),
                        failed = failed + (select count(*) from ended where state = 'failed')
     where id = $1 and exists (select from ended)`,
    [
      batchId,
      JSON.stringify(ends.map((end) => ({ ...end, answer: end.answer ? JSON.stringify(end.answer) : null }))),
    ],
  )
}

/** Up to `limit` ended lines after `line`, in their order. */
export async function endedLines(
  db: Database,
  batchId: string,
  state: 'completed' | 'failed',
  line: number,
  limit: number,
): Promise<Line[]> {
  return db.kysely
    .selectFrom('batch_lines')
    .selectAll()
    .where('batch_id', '=', batchId)
    .where('state', '=', state)
    .where('line', '>', line)
    .orderBy('line')
    .limit(limit)
    .execute()
}

/** A line of the file: its number from 0, and where it is. */
export interface NewLine {
  line: number
  custom_id: string
  at: number
  bytes: number
  prediction_id: string
}

export interface LineEnd {
  line: number
  state: 'completed' | 'failed'
  /** What it was answered with, where it became no prediction. */
  answer?: BatchLineAnswer
}

export type Line = Selectable<BatchLineTable>
export type OpenLine = Line & { status: string | null }
