import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type CreateRequest, callers } from './contender.ts'

/** Loads a request with wrk for so many seconds. Answers how many 2xx there were and how long they took, in milliseconds. */
export async function wrk(
  request: CreateRequest,
  seconds: number,
  connections: number = callers,
): Promise<Loaded> {
  return (await runWrk(request, { seconds, connections }, countAll)) as Loaded
}

/**
 * Sends a request so many times a second, whether the earlier ones are answered or not, as long as one of the
 * connections is free. The answers come counted by what they are and how long they took, in whole milliseconds.
 */
export async function flood(request: CreateRequest, { perSecond, ...load }: Flood): Promise<Answers[]> {
  const { answers } = (await runWrk(request, load, countByStatus(perSecond))) as { answers: Answers[] }
  return answers
}

/** What the script prints at the end. */
async function runWrk({ url, headers, body }: CreateRequest, load: Load, script: string): Promise<unknown> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-wrk-'))
  try {
    const file = join(folder, 'post.lua')
    await writeFile(file, postOf(headers, body) + script)
    const settings = ['-t', '1', '-c', `${load.connections}`, '-d', `${load.seconds}s`, '--timeout', '10s']
    const { stdout } = await run('wrk', [...settings, '-s', file, url])
    return JSON.parse(stdout.split('\n').findLast((line) => line.startsWith('{')) ?? '{}')
  } finally {
    await rm(folder, { recursive: true })
  }
}

const run = promisify(execFile)

// JSON strings are Lua strings as long as nothing outside ASCII is in them.
const postOf = (headers: Record<string, string>, body: string) => `
wrk.method = 'POST'
wrk.body = ${JSON.stringify(body)}
${Object.entries(headers)
  .map(([name, value]) => `wrk.headers[${JSON.stringify(name)}] = ${JSON.stringify(value)}`)
  .join('\n')}
`

const countAll = `
function done(summary, latency)
  local failed = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout
  io.write(string.format('\\n{"perSecond":%f,"p50":%f,"p99":%f,"failed":%d}\\n',
    (summary.requests - summary.errors.status) / (summary.duration / 1e6),
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, failed))
end`

// wrk does not tell a script which request is answered, so each carries the time of its leaving as an id that comes
// back. Each takes the next of the times at which one is due; the delay is what is left until then.
const countByStatus = (perSecond: number) => `
local ffi = require('ffi')
ffi.cdef('typedef struct { long seconds, nanoseconds; } moment; int clock_gettime(int, moment *);')
local moment = ffi.new('moment')
local function now()
  ffi.C.clock_gettime(1, moment)
  return tonumber(moment.seconds) * 1000 + tonumber(moment.nanoseconds) / 1e6
end

local threads = {}
function setup(thread) threads[1] = thread end

function init()
  wrk.headers['x-request-id'] = '@'
  before, after = wrk.format():match('^(.*)@(.*)$')
  due = now()
  answers = {}
end
function delay()
  due = due + ${1000 / perSecond}
  return math.max(0, due - now())
end
function request()
  return before .. string.format('%.3f', now()) .. after
end
function response(status, headers)
  local hint = headers['retry-after'] and 'true' or 'false'
  local kind = string.format('[%d,%s,%d', status, hint, now() - headers['x-request-id'])
  answers[kind] = (answers[kind] or 0) + 1
end

function done(summary)
  local counts = {}
  for kind, count in pairs(threads[1]:get('answers')) do table.insert(counts, kind .. ',' .. count .. ']') end
  local lost = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  if lost > 0 then table.insert(counts, '[0,false,0,' .. lost .. ']') end
  io.write('\\n{"answers":[' .. table.concat(counts, ',') .. ']}\\n')
end`

interface Load {
  seconds: number
  connections: number
}

interface Flood extends Load {
  perSecond: number
}

export interface Loaded {
  perSecond: number
  p50: number
  p99: number
  /** Without an answer, or with one that was no 2xx or 3xx. */
  failed: number
}

/** The status, whether it says when to come again, after how many milliseconds, how often. The status 0 is no answer. */
export type Answers = [status: number, retryAfter: boolean, took: number, count: number]
