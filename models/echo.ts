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
      .describe('Streams the output, as JSON text, in this many parts'),
    log: z.string().optional().describe('A text to write to the log of the run'),
    fail: z.string().optional().describe('Fails the run with this message'),
  }),
  output: z.record(z.string(), z.unknown()).describe('The input without delay_ms, chunks, log and fail'),
  async *run({ delay_ms = 0, chunks, log, fail, ...rest }, { log: write, progress, signal }) {
    if (log !== undefined) {
      write(log)
    }
    const parts = chunks === undefined ? [] : split(JSON.stringify(rest), chunks)
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

/** Exactly `count` parts, as even as they can be; whole characters, so that no part holds half of an emoji. */
function split(text: string, count: number): string[] {
  const characters = [...text]
  const edge = (index: number) => Math.round((index * characters.length) / count)
  return Array.from({ length: count }, (_, index) => characters.slice(edge(index), edge(index + 1)).join(''))
}
