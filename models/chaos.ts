import { writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { defineModel } from '@millrace/models/define-model'
import { z } from 'zod'

export default defineModel({
  namespace: 'chaos',
  name: 'Chaos',
  type: 'data',
  description: 'Does what a bad model does, for tests: crashes, hangs, floods, returns what it must not.',
  capabilities: ['json'],
  concurrency: 4,
  testOnly: true,
  input: z.object({
    crash: z.boolean().default(false).describe('Kills its own process'),
    exit: z.int().min(0).max(255).optional().describe('Ends its own process with this exit code'),
    throw: z.string().optional().describe('Throws an error with this message where nothing can catch it'),
    hang: z
      .enum(['busy', 'sleep'])
      .or(z.boolean())
      .default(false)
      .describe('Never ends and ignores cancelling'),
    flood_mb: z.int().min(0).max(4096).default(0).describe('Prints this many megabytes'),
    nul: z.boolean().default(false).describe('Returns NUL characters and half of a surrogate pair'),
    nonsense: z.boolean().default(false).describe('Returns a value that is no JSON'),
  }),
  output: z.object({ text: z.string().describe('Says that nothing bad was asked for') }),
  async run({ crash, exit, throw: message, hang, flood_mb, nul, nonsense }) {
    flood(flood_mb)
    if (crash) {
      process.kill(process.pid, 'SIGKILL')
    }
    if (exit !== undefined) {
      process.exit(exit)
    }
    if (message !== undefined) {
      setTimeout(() => {
        throw new Error(message)
      })
      await sleep(60_000)
    }
    while (hang === 'busy') {
      // Not even a timer gets a turn.
    }
    while (hang) {
      await sleep(1000)
    }
    return nonsense ? { value: () => 'a function' } : { text: nul ? 'a\u0000b\ud800c' : 'calm' }
  },
})

/** Half through the stream that belongs to the run, half past it, as native code and child processes print. */
function flood(megabytes: number): void {
  const line = Buffer.alloc(1024 * 1024, `${'flood '.repeat(20)}\n`)
  for (let written = 0; written < megabytes; written += 1) {
    if (written % 2 === 0) {
      process.stdout.write(line)
    } else {
      writeAll(line)
    }
  }
}

function writeAll(bytes: Uint8Array): void {
  for (let rest = bytes; rest.length > 0; ) {
    try {
      rest = rest.subarray(writeSync(1, rest))
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) {
        throw error
      }
    }
  }
}
