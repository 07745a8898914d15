import { request } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { fromTypeId } from '@millrace/database/ids'
import { claim } from '@millrace/lifecycle/claim'
import { appendEvents } from '@millrace/lifecycle/events'
import { openQueue } from '@millrace/queue/open-queue'
import { callAtOnce } from '../contender.ts'
import { percentiles } from '../latencies.ts'
import { type Millrace, startMillrace } from '../millrace.ts'
import { call, createBody } from '../requests.ts'
import { type Figures, using, type Work } from '../work.ts'

/** Each reads the events of a prediction of its own from one api; 1,000 of these say something, 200 a second. */
export const manyReaders: Work = {
  name: 'readers',
  title: '10,000 readers of events (SSE) in one api',
  columns: { kilobytes: 'KB a reader', p50: 'event to reader, p50 (ms)', p99: 'p99 (ms)' },
  rows: [
    {
      name: 'Millrace (Redis)',
      once: true,
      measure: async (stores) => using(await startMillrace(stores, { onRedis: true, apps: ['api'] }), read),
    },
  ],
}

const readers = 10_000

async function read(service: Millrace): Promise<Figures> {
  const ids: string[] = []
  await callAtOnce(readers, async () => {
    ids.push(((await call(service, 'POST', '/v1/predictions', createBody())) as { id: string }).id)
  })
  const [api] = service.processes
  const before = await api?.memory()
  const appendedAt = new Map<string, number>()
  const latencies: number[] = []
  let open = 0
  const sockets = ids.map((id) =>
    listen(service, id, (text) => {
      if (text.includes('"pending"')) open++
      const begun = text.includes('event: log') ? appendedAt.get(id) : undefined
      if (begun !== undefined) latencies.push(performance.now() - begun)
    }),
  )
  await until(() => open === readers, 'every reader to be connected')
  await delay(2_000)
  const after = await api?.memory()
  const kilobytes = (((after?.rssMb ?? 0) - (before?.rssMb ?? 0)) * 1024) / readers

  const lifecycle = { db: service.db, links: { publicUrl: '', file: () => '' } }
  const queue = openQueue({ databaseUrl: service.databaseUrl, redisUrl: service.redisUrl, name: 'bench' })
  const fences = await claim(lifecycle, { model: 'noop', limit: 1_000, worker: 'bench', leaseSeconds: 600 })
  const publicIds = new Map(ids.map((id) => [fromTypeId('pred', id), id]))
  for (const [nth, { id, attempt }] of fences.entries()) {
    appendedAt.set(publicIds.get(id) ?? '', performance.now())
    await appendEvents(service.db, [{ id, attempt, kind: 'log', data: '{"text":"a word"}', batch: nth + 1 }])
    queue.signal('changed', [id])
    await delay(5)
  }
  await until(() => latencies.length >= fences.length, 'every event to be read')
  for (const socket of sockets) socket.destroy()
  await queue.close()
  const { p50, p99 } = percentiles(latencies)
  return { kilobytes, p50, p99 }
}

function listen({ url, apiKey }: Millrace, id: string, hear: (text: string) => void) {
  const headers = { authorization: `Bearer ${apiKey}`, accept: 'text/event-stream' }
  const sent = request(`${url}/v1/predictions/${id}/stream`, { headers, agent: false }, (response) => {
    response.setEncoding('utf8').on('data', hear)
  })
  sent.on('error', () => {})
  sent.end()
  return sent
}

async function until(condition: () => boolean, what: string): Promise<void> {
  for (let waited = 0; !condition(); waited += 10) {
    if (waited > 120_000) throw new Error(`waited in vain for ${what}`)
    await delay(10)
  }
}
