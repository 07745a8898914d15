import { changeBatch, type HeldBatch, now } from '@millrace/batches/hold-batches'
import { maxBatchLines } from '@millrace/contract/batch'
import { toTypeId } from '@millrace/database/ids'
import type { BatchError } from '@millrace/database/tables'
import type { Context } from '../context.ts'
import { checkLine } from './check-line.ts'
import { readLines } from './read-lines.ts'

/**
 * Reads a batch's file once: every line must be a request, and each `custom_id` there once. Then it is in progress; else
 * it has failed, with what is wrong by line, and nothing of it was run. Fields that mean nothing stop it not, but are named.
 */
export async function validateBatch(context: Context, batch: HeldBatch): Promise<void> {
  const { total, errors, ignored } = await checkFile(context, batch)
  const change =
    errors.length > 0
      ? { status: 'failed' as const, errors: JSON.stringify(errors), ended_at: now, total }
      : {
          status: 'in_progress' as const,
          in_progress_at: now,
          total,
          ...(ignored.length > 0 ? { errors: JSON.stringify(ignored) } : {}),
        }
  await changeBatch(context.db, batch, change, ['validating'])
}

async function checkFile({ store, config }: Context, batch: HeldBatch): Promise<Checked> {
  const errors: BatchError[] = []
  const source = await store.open(toTypeId('file', batch.input_file_id))
  if (!source)
    return {
      total: 0,
      errors: [fault('missing_file', 'The file does not exist any more; upload it again.')],
      ignored: [],
    }
  const seen = new Set<string>()
  // Each name once, however many lines have it.
  const ignored = new Map<string | null, BatchError>()
  let total = 0
  for await (const { text, number } of readLines(source, 0, config.MAX_BODY_BYTES)) {
    total += 1
    if (total > maxBatchLines) {
      errors.push(fault('too_many_lines', `A batch has at most ${maxBatchLines} lines.`))
      break
    }
    const checked = checkLine(text, number)
    if ('fault' in checked) errors.push(checked.fault)
    else {
      const { custom_id, url } = checked.request
      for (const note of checked.ignored) {
        if (ignored.size < maxIgnored && !ignored.has(note.param)) ignored.set(note.param, note)
      }
      if (seen.has(custom_id)) {
        errors.push({
          ...fault('duplicate_custom_id', `"${custom_id}" is the custom_id of a line before.`, number),
          param: 'custom_id',
        })
      }
      if (batch.endpoint !== null && url !== batch.endpoint) {
        errors.push({
          ...fault('mismatched_endpoint', `The batch is for ${batch.endpoint}.`, number),
          param: 'url',
        })
      }
      seen.add(custom_id)
    }
    if (errors.length >= maxErrors) break
  }
  source.destroy()
  if (total === 0) errors.push(fault('empty_file', 'The file has no lines.'))
  return { total, errors, ignored: [...ignored.values()] }
}

function fault(code: string, message: string, line: number | null = null): BatchError {
  return { code, message, param: null, line }
}

const maxErrors = 100
const maxIgnored = 20

interface Checked {
  total: number
  errors: BatchError[]
  /** Fields that mean nothing. */
  ignored: BatchError[]
}
