import { setTimeout as sleep } from 'node:timers/promises'
import { defineModel } from '@millrace/models/define-model'
import { z } from 'zod'

export default defineModel({
  namespace: 'echo',
  name: 'Echo',
  type: 'multimodal',
  description:
    'Returns its input. For trying clients: it can take its time, stream its answer in parts, log, and fail on request.',
  capabilities: ['json', 'streaming'],
  concurrency: 16,
  input: z.looseObject({
    delay_ms: z.int().min(0).max(600_000).optional().describe('How long the run takes, in milliseconds'),
    chunks: z
      .int()
      .min(1)
      .max(1000)
      .optional()
      .describe('Streams the output in this many parts: the text where it is nothing else, else as JSON'),
    log: z.string().optional().describe('A text to write to the log of the run'),
    fail: z.string().optional().describe('Fails the run with this message'),
  }),
  output: z.record(z.string(), z.unknown()).describe('The input without delay_ms, chunks, log and fail'),
  async *run({ delay_ms = 0, chunks, log, fail, ...rest }, { log: write, progress, signal }) {
    if (log !== undefined) {
      write(log)
    }
    const parts = chunks === undefined ? [] : split(readable(rest), chunks)
    const pauses = Math.max(1, parts.length)
    for (let turn = 0; turn < pauses; turn += 1) {
      await sleep(delay_ms / pauses, undefined, { signal })
      const part = parts[turn]
      if (part !== undefined) {
        yield part
      }
      progress(((turn + 1) / pauses) * 100)
    }
    if (fail !== undefined) {
      throw new Error(fail)
    }
    return rest
  },
})

/** Whoever watches a text arrive wants to read it. */
function readable(rest: Record<string, unknown>): string {
  const { text, ...more } = rest
  return typeof text === 'string' && Object.keys(more).length === 0 ? text : JSON.stringify(rest)
}

/** Exactly `count` parts, as even as they can be; words where there are enough, else whole characters, no halves of an emoji. */
function split(text: string, count: number): string[] {
  const words = text.split(/(?<=\s)(?=\S)/)
  const pieces = words.length >= count ? words : [...text]
  const edge = (index: number) => Math.round((index * pieces.length) / count)
  return Array.from({ length: count }, (_, index) => pieces.slice(edge(index), edge(index + 1)).join(''))
}
