import { type ClientRequest, request } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { fromTypeId, toTypeId } from '@millrace/database/ids'
import { claim } from '@millrace/lifecycle/claim'
import { appendEvents } from '@millrace/lifecycle/events'
import { openQueue } from '@millrace/queue/open-queue'
import { callAtOnce, warmUp } from '../contender.ts'
import { fill } from '../fill.ts'
import { percentiles } from '../latencies.ts'
import { type Millrace, startMillrace } from '../millrace.ts'
import { postMany } from '../post.ts'
import { createRequest } from '../requests.ts'
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
      measure: async (stores) =>
        using(
          await startMillrace(stores, {
            onRedis: true,
            apps: ['api'],
            partitions: 'day',
            prepare: (db) => fill(db, readers, 'waiting'),
          }),
          read,
        ),
    },
  ],
}

const readers = 10_000

async function read(service: Millrace): Promise<Figures> {
  const { rows } = await service.db.pool.query<{ id: string }>('select id from predictions')
  const ids = rows.map(({ id }) => toTypeId('pred', id))
  // An api that has run for a while, and not one that made as many predictions: what that takes would hide the readers.
  await postMany(createRequest(service), warmUp)
  await delay(2_000)
  const [api] = service.processes
  const before = await api?.memory()
  const appendedAt = new Map<string, number>()
  const latencies: number[] = []
  const unconnected = ids.values()
  const streams: ClientRequest[] = []
  await callAtOnce(readers, async () => {
    const id = unconnected.next().value ?? ''
    const stream = await listen(service, id, (text) => {
      const begun = text.includes('event: log') ? appendedAt.get(id) : undefined
      if (begun !== undefined) latencies.push(performance.now() - begun)
    })
    streams.push(stream)
  })
  await delay(2_000)
  const after = await api?.memory()
  const kilobytes = (((after?.rssMb ?? 0) - (before?.rssMb ?? 0)) * 1024) / readers

  const lifecycle = { db: service.db, links: { publicUrl: '', file: () => '' } }
  const queue = openQueue({ databaseUrl: service.databaseUrl, redisUrl: service.redisUrl, name: 'bench' })
  const fences = await claim(lifecycle, { model: 'noop', limit: 1_000, worker: 'bench', leaseSeconds: 600 })
  // The api looks for what changed once a second: it tells the readers of these, all at once, that they run.
  await delay(3_000)
  const publicIds = new Map(ids.map((id) => [fromTypeId('pred', id), id]))
  for (const [nth, { id, attempt }] of fences.entries()) {
    appendedAt.set(publicIds.get(id) ?? '', performance.now())
    await appendEvents(service.db, [{ id, attempt, kind: 'log', data: '{"text":"a word"}', batch: nth + 1 }])
    queue.signal('changed', [id])
    await delay(5)
  }
  for (let waited = 0; latencies.length < fences.length; waited += 10) {
    if (waited > 60_000) throw new Error(`${latencies.length} of ${fences.length} events were read`)
    await delay(10)
  }
  for (const stream of streams) stream.destroy()
  await queue.close()
  const { p50, p99 } = percentiles(latencies)
  return { kilobytes, p50, p99 }
}

/** Resolves when the prediction's first event has come. */
function listen({ url, apiKey }: Millrace, id: string, hear: (text: string) => void): Promise<ClientRequest> {
  const headers = { authorization: `Bearer ${apiKey}`, accept: 'text/event-stream' }
  return new Promise((resolve, reject) => {
    const stream = request(`${url}/v1/predictions/${id}/stream`, { headers, agent: false }, (response) => {
      if (response.statusCode !== 200) reject(new Error(`a reader was answered ${response.statusCode}`))
      response.setEncoding('utf8').on('data', (text: string) => {
        if (text.includes('"pending"')) resolve(stream)
        hear(text)
      })
    })
    stream.on('error', reject)
    stream.end()
  })
}
