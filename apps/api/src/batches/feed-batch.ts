import { readRules } from '@millrace/accounts/read-rules'
import { readStanding, type Standing } from '@millrace/accounts/standing'
import {
  type LineEnd,
  linesEnded,
  linesRun,
  type NewLine,
  type OpenLine,
  takeLines,
} from '@millrace/batches/batch-lines'
import { changeBatch, type HeldBatch } from '@millrace/batches/hold-batches'
import type { BatchRequest } from '@millrace/contract/batch'
import { type CreatePrediction, createPrediction } from '@millrace/contract/create-prediction'
import { endpoints } from '@millrace/contract/endpoints'
import { isPassing } from '@millrace/database/faults'
import { newId, toTypeId } from '@millrace/database/ids'
import { ApiError, errorEnvelope } from '../api-error.ts'
import { checkShape } from '../check-shape.ts'
import type { Context } from '../context.ts'
import { draftPrediction, findModel } from '../draft-prediction.ts'
import { type Rules, refuseForbidden } from '../permitted-models.ts'
import { pauseOf } from '../rates.ts'
import { checkLine, ignoredOf } from './check-line.ts'
import { lineGate } from './line-gate.ts'
import type { LineRunner } from './line-runner.ts'
import { type FileLine, readLines } from './read-lines.ts'

/**
 * Takes up to `count` lines more, as far as they fit into memory together, and creates their predictions; those that ask
 * for inference go to `runner`.
 */
export async function feedBatch(
  context: Context,
  batch: HeldBatch,
  runner: LineRunner,
  count: number,
): Promise<void> {
  const { lines, texts, readTo } = await nextLines(context, batch, count)
  if (lines.length === 0) return
  if (!(await takeLines(context.db, batch, lines, readTo))) return
  await acceptLines(
    context,
    batch,
    runner,
    lines.map((line, index) => ({ ...line, text: texts[index] })),
  )
}

/**
 * Creates the predictions of lines that were taken, as far as they fit into memory together: again, with the same ids,
 * where a process was killed meanwhile. What inference was to answer is run again.
 */
export async function acceptTaken(
  context: Context,
  batch: HeldBatch,
  runner: LineRunner,
  taken: OpenLine[],
): Promise<void> {
  const lines = await Promise.all(
    fitting(taken).map(async (line) => ({ ...line, text: await textAt(context, batch, line) })),
  )
  await acceptLines(context, batch, runner, lines)
}

/** Takes the lines that are left without running them, so that each has its answer. */
export async function endRest(context: Context, batch: HeldBatch, count: number): Promise<number> {
  const { lines, readTo } = await nextLines(context, batch, count)
  if (lines.length === 0 || !(await takeLines(context.db, batch, lines, readTo))) return 0
  await linesEnded(
    context.db,
    batch.id,
    lines.map(({ line }) => ({ line, state: 'failed', answer: notRun(batch) })),
  )
  return lines.length
}

/** What a line is answered with that was not run. */
export function notRun({ status, errors }: HeldBatch) {
  if (errors?.some(({ code }) => code === accountSuspended.code)) return accountSuspended
  return status === 'cancelling'
    ? { code: 'batch_cancelled', message: 'The batch was cancelled before this request was done.' }
    : { code: 'batch_expired', message: 'The batch was not done within its completion window.' }
}

/** Why a batch was cancelled that nobody asked to cancel. */
export const accountSuspended = {
  code: 'account_suspended',
  message: 'The account was suspended, so what had not been done by then was cancelled or not run.',
}

async function nextLines({ store, config, db }: Context, batch: HeldBatch, count: number): Promise<Next> {
  const next: Next = { lines: [], texts: [], readTo: batch.read_bytes }
  if (batch.read_lines >= batch.total) return next
  const source = await store.open(toTypeId('file', batch.input_file_id), {
    start: batch.read_bytes,
    end: Number.MAX_SAFE_INTEGER,
  })
  if (!source) {
    // It was deleted meanwhile: what was taken goes on, and the batch ends with that.
    const gone = { code: 'missing_file', message: 'The file was deleted.', param: null, line: null }
    const errors = JSON.stringify([...(batch.errors ?? []), gone])
    await changeBatch(db, batch, { total: batch.read_lines, errors })
    return next
  }
  try {
    for await (const { at, bytes, text } of readLines(source, batch.read_bytes, config.MAX_BODY_BYTES)) {
      const line = batch.read_lines + next.lines.length
      const checked = checkLine(text, line + 1)
      const custom_id = 'request' in checked ? checked.request.custom_id : ''
      next.lines.push({ line, custom_id, at, bytes, prediction_id: newId() })
      next.texts.push(text)
      next.readTo = at + bytes + 1
      if (next.lines.length === count || next.readTo - batch.read_bytes >= linesBytes) break
    }
  } finally {
    source.destroy()
  }
  return next
}

/** The first ones, up to the one that fills the memory for them; one in any case. */
function fitting<Line extends NewLine>(lines: Line[]): Line[] {
  let bytes = 0
  const full = lines.findIndex((line) => {
    bytes += line.bytes
    return bytes >= linesBytes
  })
  return full === -1 ? lines : lines.slice(0, full + 1)
}

async function textAt(
  { store, config }: Context,
  batch: HeldBatch,
  { at, bytes }: NewLine,
): Promise<FileLine['text']> {
  const source = await store.open(toTypeId('file', batch.input_file_id), { start: at, end: at + bytes })
  if (!source) return undefined
  for await (const { text } of readLines(source, at, config.MAX_BODY_BYTES)) return text
  return undefined
}

async function acceptLines(
  context: Context,
  batch: HeldBatch,
  runner: LineRunner,
  lines: (NewLine & { text: string | undefined })[],
): Promise<void> {
  const { account_id: accountId, key_id: keyId } = batch
  const [standing, { models, limits, key }] = await Promise.all([
    readStanding(context.db, accountId),
    readRules(context.db, accountId, keyId),
  ])
  const owner = { accountId, ...standing, models, limits, ...(key ? { keyId: key.id } : {}) }
  const mayBegin = lineGate(context, owner, (seconds) => runner.pause(seconds))
  const running: number[] = []
  const ends: LineEnd[] = []
  await Promise.all(
    lines.map(async (line) => {
      const checked = checkLine(line.text, line.line + 1)
      if ('fault' in checked) {
        ends.push({
          line: line.line,
          state: 'failed',
          answer: { code: checked.fault.code, message: checked.fault.message },
        })
        return
      }
      if (checked.request.url !== '/v1/predictions') {
        runner.start(line, checked.request, { rules: owner, limits, key })
        return
      }
      try {
        if (!(await mayBegin(checked.request.body.model))) return
        await perform(context, { ...owner, id: line.prediction_id }, checked.request)
        running.push(line.line)
      } catch (error) {
        // Whatever passes is tried again: the line stays taken.
        const seconds = pauseOf(error)
        if (seconds !== undefined) {
          runner.pause(seconds)
          return
        }
        if (error instanceof ApiError ? error.id === 'SERVICE_UNAVAILABLE' : isPassing(error)) return
        if (!(error instanceof ApiError)) {
          context.log.error({ err: error, batch: batch.id, line: line.line }, 'a line could not be run')
          const answer = { code: 'internal_error', message: 'The request could not be run.' }
          ends.push({ line: line.line, state: 'failed', answer })
          return
        }
        const id = toTypeId('req', line.prediction_id)
        const body = errorEnvelope(error, id)
        ends.push({ line: line.line, state: 'failed', answer: { status_code: body.error.http_status, body } })
      }
    }),
  )
  await linesRun(context.db, batch.id, running)
  await linesEnded(context.db, batch.id, ends)
}

/** Creates the prediction that a line asks for. Its id is the line's, so that it is created once. */
async function perform(
  context: Context,
  { id, ...owner }: Rules & Standing & { id: string; accountId: string; keyId?: string },
  line: BatchRequest,
): Promise<void> {
  const ignored = ignoredOf(line).map(({ name }) => name)
  const errorIds = endpoints.createPrediction.fieldErrors
  const { await: _, ...asked } = checkShape(
    createPrediction,
    line.body,
    errorIds,
    ignored,
  ) as CreatePrediction
  // Nobody waits for a batch, unless its lines say so.
  const request = { ...asked, priority: asked.priority ?? 'low' }
  refuseForbidden(owner, findModel(context, request.model))
  const draft = await draftPrediction(context, owner, request, { id })
  await context.acceptance.add(draft)
}

/** Of lines that are worked on together; in memory they are several times as large, as text, as JSON and as rows. */
const linesBytes = 8 * 1024 * 1024

interface Next {
  lines: NewLine[]
  texts: FileLine['text'][]
  /** Where the next line begins. */
  readTo: number
}
