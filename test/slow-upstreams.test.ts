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
    const limit = 5

    const made = await service.create('relay', { url: upstream.url }, { timeouts: { start: 60, run: limit } })
    const { error_id, started_at, completed_at } = await made.reaches('failed', 'succeeded')

    expect(error_id).toBe('RUN_TIMEOUT')
    const letGo = await until(upstream.letGoAt, { what: 'the upstream to be let go' })
    const began = started_at?.getTime() ?? 0
    for (const moment of [completed_at?.getTime() ?? 0, letGo]) {
      // A tenth of the limit either way, and what a busy machine needs on top.
      expect(moment - began).toBeGreaterThan(limit * 900)
      expect(moment - began).toBeLessThan(limit * 1_100 + 3_000)
    }
    // It was the signal that did it: the process has not been killed.
    expect((await (await service.create('relay', {})).reaches('succeeded')).output).toBe(pid)
  },
)

test.each(manners)(
  'a run that waits for an input file whose host %s ends by its time to start, and the host is let go',
  async (_, manner) => {
    const upstream = await startUpstream(manner)

    const made = await service.create('relay', { file: upstream.url }, { timeouts: { start: 3, run: 60 } })
    const { error_id, started_at } = await made.reaches('failed', 'succeeded')

    expect({ error_id, started_at }).toEqual({ error_id: 'START_TIMEOUT', started_at: null })
    await until(upstream.letGoAt, { what: 'the host to be let go' })
  },
)

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
