import { Readable } from 'node:stream'
import { readStanding } from '@millrace/accounts/standing'
import { endedLines, type Line } from '@millrace/batches/batch-lines'
import { changeBatch, type HeldBatch, now } from '@millrace/batches/hold-batches'
import { databaseNow } from '@millrace/database/clock'
import { newId, toTypeId } from '@millrace/database/ids'
import { findPredictions } from '@millrace/lifecycle/find'
import { present } from '@millrace/lifecycle/present'
import { saveFile } from '@millrace/storage/files'
import type { Context } from '../context.ts'
import { fewest, nextCount } from '../fitting-count.ts'

/**
 * Writes the answers of a batch into its files, those of requests that succeeded and of the others apart, in the order
 * of the lines, and ends it. The files have their ids before they are written: who is cut off writes the same ones again.
 */
export async function writeResults(context: Context, batch: HeldBatch): Promise<void> {
  const { db } = context
  const output = batch.output_file_id ?? (batch.completed > 0 ? newId() : null)
  const errors = batch.error_file_id ?? (batch.failed > 0 ? newId() : null)
  const named = { output_file_id: output, error_file_id: errors, finalizing_at: batch.finalizing_at ?? now }
  // One that is being cancelled says so until it has ended.
  const status = batch.status === 'in_progress' ? { status: 'finalizing' as const } : {}
  if (!(await changeBatch(db, batch, { ...named, ...status }))) return
  if (output) await write(context, batch, output, 'completed')
  if (errors) await write(context, batch, errors, 'failed')
  await changeBatch(db, batch, { status: endOf(batch), ended_at: now })
}

function endOf({ status, late_at }: HeldBatch): 'cancelled' | 'expired' | 'completed' {
  if (status === 'cancelling') return 'cancelled'
  return late_at === null ? 'completed' : 'expired'
}

async function write(
  context: Context,
  batch: HeldBatch,
  id: string,
  state: 'completed' | 'failed',
): Promise<void> {
  const { config, db, store } = context
  const { retention } = await readStanding(context.db, batch.account_id)
  const stated = [retention.files_days, retention.data_days].filter((days) => days !== undefined)
  const days = Math.min(config.RETENTION_FILES_DAYS, ...stated)
  const name = `${toTypeId('batch', batch.id)}_${state === 'completed' ? 'output' : 'error'}.jsonl`
  await saveFile(db, store, {
    id,
    accountId: batch.account_id,
    purpose: 'batch_output',
    name,
    contentType: 'application/jsonl',
    source: Readable.from(answers(context, batch, state)),
    maxBytes: Number.MAX_SAFE_INTEGER,
    expiresAt: new Date(databaseNow() + days * 86_400_000),
  })
}

async function* answers(
  context: Context,
  batch: HeldBatch,
  state: 'completed' | 'failed',
): AsyncGenerator<string> {
  for (let last = -1, count = fewest; ; ) {
    const lines = await endedLines(context.db, batch.id, state, last, count)
    const end = lines.at(-1)
    if (!end) return
    last = end.line
    const texts = await answersOf(context, batch, lines)
    yield* texts
    const length = texts.reduce((sum, text) => sum + text.length, 0)
    count = nextCount({ length, made: texts.length, count }, most)
  }
}

async function answersOf(context: Context, batch: HeldBatch, lines: Line[]): Promise<string[]> {
  const ids = lines.filter(({ answer }) => answer === null).map(({ prediction_id }) => prediction_id)
  const rows = await findPredictions(context.db, batch.account_id, ids)
  const found = new Map(rows.map((row) => [row.id, present(row, context.lifecycle.links)]))
  return lines.map((line) => {
    const about = { id: toTypeId('req', line.prediction_id), custom_id: line.custom_id }
    return `${JSON.stringify({ ...about, ...answerOf(line, found.get(line.prediction_id)) })}\n`
  })
}

function answerOf({ answer, prediction_id }: Line, prediction: ReturnType<typeof present> | undefined) {
  const request_id = toTypeId('req', prediction_id)
  if (answer && 'code' in answer) return { response: null, error: answer }
  if (answer) return { response: { ...answer, request_id }, error: null }
  if (!prediction) {
    return { response: null, error: { code: 'deleted', message: 'The prediction was deleted.' } }
  }
  const response = { status_code: 200, request_id, body: prediction }
  if (prediction.status === 'succeeded') return { response, error: null }
  const code = prediction.error_id ?? prediction.status
  return {
    response,
    error: { code, message: prediction.error ?? `The prediction was ${prediction.status}.` },
  }
}

const most = 200
