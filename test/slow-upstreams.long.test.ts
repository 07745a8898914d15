import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { startTestWorker, type TestWorker } from './given-worker.ts'
import { until } from './harness/wait.ts'

let service: TestWorker
let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-upstream-'))
  await writeFile(join(folder, 'relay.mjs'), relay)
  // With this grace a model that does not stop by itself would not be stopped before the test is over.
  service = await startTestWorker('redis', { MODELS_DIR: folder, CANCEL_GRACE_SECONDS: '60' })
})
afterAll(async () => {
  await service.stop()
  await rm(folder, { recursive: true, force: true })
})

const manners = [
  ['takes the request and never answers', 'silence'],
  ['answers a byte a second', 'drip'],
] as const

test.each(manners)(
  'a run whose upstream %s ends by its time-out, and the upstream is let go',
  async (_, manner) => {
    const upstream = await startUpstream(manner)
    const pid = (await (await service.create('relay', {})).reaches('succeeded')).output
    const limit = 10

    const made = await service.create('relay', { url: upstream.url }, { timeouts: { start: 60, run: limit } })
    const runBy = await until(() => limitOf(made.id), { within: 20_000, what: 'the run to begin' })
    const { error_id, started_at, completed_at } = await made.reaches('failed', 'succeeded')
    const letGo = await until(upstream.letGoAt, { what: 'the upstream to be let go' })

    expect(error_id).toBe('RUN_TIMEOUT')
    // The row's own time limit is the one that was asked for.
    expect(Math.abs(runBy - (started_at?.getTime() ?? 0) - limit * 1_000)).toBeLessThan(limit * 100)
    expectOnTime(limit, runBy, completed_at, letGo)
    // It was the signal that did it: the process has not been killed.
    expect((await (await service.create('relay', {})).reaches('succeeded')).output).toBe(pid)
  },
)

test.each(manners)(
  'a run that waits for an input file whose host %s ends by its time to start, and the host is let go',
  async (_, manner) => {
    const upstream = await startUpstream(manner)

    const limit = 5

    const made = await service.create(
      'relay',
      { file: upstream.url },
      { timeouts: { start: limit, run: 60 } },
    )
    const { error_id, started_at, created_at, completed_at } = await made.reaches('failed', 'succeeded')

    expect({ error_id, started_at }).toEqual({ error_id: 'START_TIMEOUT', started_at: null })
    const letGo = await until(upstream.letGoAt, { what: 'the host to be let go' })
    expectOnTime(limit, created_at.getTime() + limit * 1_000, completed_at, letGo)
  },
)

/**
 * It ended a tenth of its limit around the moment at which its time was over, and the upstream was let go within a second
 * of it. The moment and the end are the database's, whose clock is this machine's (measured at a load of 22 on two
 * processors: 5 ms each).
 */
function expectOnTime(limit: number, over: number, ended: Date | null, letGo: number): void {
  for (const moment of [ended?.getTime() ?? 0, letGo]) expect(moment - over).toBeGreaterThan(limit * -100)
  expect((ended?.getTime() ?? 0) - over).toBeLessThan(limit * 100)
  expect(letGo - over).toBeLessThan(1_000)
}

/** When the run's time is over, as the database has it; undefined until it has begun. */
async function limitOf(id: string): Promise<number | undefined> {
  const { rows } = await service.db.pool.query<{ run_by: Date | null }>(
    'select run_by from runs where prediction_id = $1',
    [id],
  )
  return rows[0]?.run_by?.getTime()
}

/** Answers with the pid of its process, or with what another service says, whom it hands its signal. */
const relay = `export default {
  namespace: 'relay', type: 'text', concurrency: 4,
  input_schema: { type: 'object', properties: { file: { type: 'string', format: 'uri' } } },
  run: async ({ url }, { signal }) => (url ? (await fetch(url, { signal })).text() : String(process.pid)),
}`

/** Something that takes requests and is never done with any. Nobody but its one client ends their connection. */
async function startUpstream(manner: 'silence' | 'drip') {
  let letGo: number | undefined
  const server = createServer((socket) => {
    let timer: NodeJS.Timeout | undefined
    socket.once('data', () => {
      if (manner === 'silence') return
      socket.write('HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 1000000\r\n\r\n')
      timer = setInterval(() => socket.write('.'), 1_000)
    })
    socket.on('error', () => {})
    socket.once('close', () => {
      clearInterval(timer)
      letGo = Date.now()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/a.txt`, letGoAt: () => letGo }
}
