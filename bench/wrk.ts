import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type CreateRequest, callers } from './contender.ts'

/** Loads a request with wrk for so many seconds. Answers how many 2xx there were and how long they took, in milliseconds. */
export async function wrk({ url, headers, body }: CreateRequest, seconds: number): Promise<Loaded> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-wrk-'))
  try {
    const script = join(folder, 'post.lua')
    await writeFile(script, scriptOf(headers, body))
    const settings = ['-t', '1', '-c', `${callers}`, '-d', `${seconds}s`, '--timeout', '10s']
    const { stdout } = await run('wrk', [...settings, '-s', script, url])
    return JSON.parse(stdout.split('\n').findLast((line) => line.startsWith('{')) ?? '{}')
  } finally {
    await rm(folder, { recursive: true })
  }
}

const run = promisify(execFile)

// JSON strings are Lua strings as long as nothing outside ASCII is in them.
const scriptOf = (headers: Record<string, string>, body: string) => `
wrk.method = 'POST'
wrk.body = ${JSON.stringify(body)}
${Object.entries(headers)
  .map(([name, value]) => `wrk.headers[${JSON.stringify(name)}] = ${JSON.stringify(value)}`)
  .join('\n')}
function done(summary, latency)
  local failed = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout
  io.write(string.format('\\n{"perSecond":%f,"p50":%f,"p99":%f,"failed":%d}\\n',
    (summary.requests - summary.errors.status) / (summary.duration / 1e6),
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, failed))
end`

export interface Loaded {
  perSecond: number
  p50: number
  p99: number
  /** Without an answer, or with one that was no 2xx or 3xx. */
  failed: number
}
