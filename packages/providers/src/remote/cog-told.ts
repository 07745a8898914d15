import { takesFiles } from '@millrace/models/file-fields'
import { isRecord } from '@millrace/models/is-record'
import { isFileValue, OutputParts } from '../output-parts.ts'
import { CancelledThere, isOver, type Snapshot } from './cog-snapshot.ts'
import { Failed, Unavailable } from './faults.ts'
import { textIn } from './host-words.ts'
import { percentIn } from './job-log.ts'
import type { Call } from './open-remote.ts'

/**
 * Passes on what a container tells of a run, each thing once: webhooks repeat all there is so far, a stream that is
 * joined late begins anew, and the end has everything again.
 */
export function createTold({ description, emit, rehost, measured }: Call<'cog'>): Told {
  const { output_schema: schema } = description
  const isStated = ['type', 'anyOf', 'oneOf', 'allOf', '$ref'].some((word) => word in schema)
  const isList = schema.type === 'array'
  const emitsText = !isList || schema['x-cog-array-display'] === 'concatenate'
  const parts = new OutputParts()
  const made: unknown[] = []
  let begun = false
  let logged = 0
  let streamed = 0
  let bytes = 0
  let isText = isStated && !takesFiles(schema)

  function ready(): void {
    if (begun) return
    begun = true
    emit({ kind: 'ready' })
  }

  /** What is new of all logs. */
  function say(text: string): void {
    logged += text.length
    if (text === '') return
    emit({ kind: 'log', text })
    const percent = percentIn(text)
    if (percent !== undefined && begun) emit({ kind: 'progress', percent })
  }

  function logs(all: unknown): void {
    if (typeof all === 'string') say(all.slice(logged))
  }

  /** A text that looks like an address is one only where files may be. */
  async function kept(value: unknown): Promise<unknown> {
    return isText ? value : rehost.all(value)
  }

  async function chunk(value: unknown, index: number): Promise<void> {
    if (index !== made.length) return
    ready()
    bytes += typeof value === 'string' ? value.length : 0
    if (bytes > maxOutputBytes) throw new Failed('The output does not end.', 'INVALID_OUTPUT')
    const part = await kept(value)
    isText ||= typeof part === 'string'
    made.push(part)
    if (!parts.add(part))
      throw new Failed('The output is too large: return large results as files.', 'INVALID_OUTPUT')
    if (typeof part === 'string' && emitsText && part !== '') emit({ kind: 'output', delta: part })
    if (isFileValue(part)) {
      const { $file: file, name, contentType } = part
      emit({ kind: 'output', delta: { file, name, ...(contentType ? { contentType } : {}) } })
    }
  }

  async function chunks(all: unknown): Promise<void> {
    if (!Array.isArray(all)) return
    for (const [index, value] of all.entries()) await chunk(value, index)
  }

  async function whole(output: unknown): Promise<unknown> {
    const isYielded = made.length > 0
    if (isYielded) await chunks(output)
    const isJoined = !isList && (isYielded || schema.type === 'string') && Array.isArray(output)
    const value =
      isYielded && Array.isArray(output) ? made.slice(0, output.length) : await kept(output ?? null)
    return isJoined && Array.isArray(value) && value.every((part) => typeof part === 'string')
      ? value.join('')
      : value
  }

  return {
    ready,
    chunk,
    log(data) {
      const before = streamed
      streamed += data.length
      if (streamed > logged) say(data.slice(Math.max(0, logged - before)))
    },
    async see(snapshot) {
      if (snapshot.status !== 'starting') ready()
      logs(snapshot.logs)
      if (!isOver(snapshot)) await chunks(snapshot.output)
    },
    async end({ status, output, logs: all, error, metrics }) {
      switch (status) {
        case 'succeeded':
          ready()
          logs(all)
          if (isRecord(metrics)) emit({ kind: 'usage', usage: metrics })
          if (isRecord(metrics) && typeof metrics.predict_time === 'number') measured(metrics.predict_time)
          return whole(output)
        case 'failed':
          logs(all)
          throw new Failed(errorIn(error) || 'The model failed and did not say why.')
        case 'canceled':
          throw new CancelledThere()
        default:
          throw new Unavailable('The container is still at work on an earlier attempt.', { busy: true })
      }
    },
  }
}

function errorIn(error: unknown): string {
  return typeof error === 'string' ? error.slice(0, 4000) : textIn(error)
}

/** All files of an output that is yielded, inline. */
const maxOutputBytes = 256 * 1024 * 1024

/** See `createTold`. */
export interface Told {
  /** The run begins. */
  ready(): void
  /** A part of the output that the model yielded, and its place. */
  chunk(value: unknown, index: number): Promise<void>
  /** The next piece of a streamed log. */
  log(data: string): void
  /** Where the run stands. */
  see(snapshot: Snapshot): Promise<void>
  /** The output, or throws what the run came to instead. */
  end(snapshot: Snapshot): Promise<unknown>
}
