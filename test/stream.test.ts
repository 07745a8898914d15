import { appendEvents, readEvents } from '@millrace/lifecycle/events'
import { openQueue, type Queue } from '@millrace/queue/open-queue'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ApiCaller, callerOf, uuidOf } from './api-caller.ts'
import { collect, readStream, readWhole, type StreamedEvent } from './event-reader.ts'
import { beginRun, claimRun, endRun, settleRun } from './given-runs.ts'
import { type Service, startService } from './harness/service.ts'

describe.each(['redis', 'postgres'] as const)('with the queue on %s', (kind) => {
  let service: Service
  let call: ApiCaller
  let queue: Queue
  beforeAll(async () => {
    service = await startService({ queue: kind, apis: 2, workers: 0, dispatchers: 0 })
    call = callerOf(service.url, service.apiKey)
    const { REDIS_URL: redisUrl, QUEUE_PREFIX: prefix } = service.environment
    queue = openQueue({
      databaseUrl: service.environment.DATABASE_URL ?? '',
      name: 'test',
      ...(redisUrl === undefined ? {} : { redisUrl, prefix }),
    })
  })
  afterAll(async () => {
    await queue.close()
    await service.stop()
  })

  const created = async () => {
    const { body } = await call('POST /v1/predictions', { body: { model: 'echo', input: {} } })
    return body.id as string
  }
  const streamOf = (id: string, lastEventId?: string, url = service.url) => ({
    url,
    key: service.apiKey,
    id,
    lastEventId,
  })

  const piece = fc.oneof(
    fc.record({ kind: fc.constant('output' as const), data: text('delta') }),
    fc.record({ kind: fc.constant('log' as const), data: text('text') }),
    fc.record({ kind: fc.constant('progress' as const), data: fc.integer({ min: 0, max: 100 }).map(String) }),
  )
  const batches = fc.array(fc.array(piece, { minLength: 1, maxLength: 5 }), { minLength: 1, maxLength: 12 })
  const cuts = fc.array(fc.integer({ min: 1, max: 6 }), { maxLength: 20 })

  test.each([1, 22, 333, 4444])(
    'a reader that is cut off at random and resumes at the other api misses nothing and gets nothing twice (seed %i)',
    (seed) =>
      fc.assert(
        fc.asyncProperty(batches, cuts, async (wanted, pieces) => {
          const id = await created()

          const [read] = await Promise.all([readInPieces(id, pieces), write(id, wanted)])

          const stored = await readEvents(service.db, uuidOf(id), 0, 1000)
          expect(read.map((event) => Number(event.id))).toEqual(
            Array.from({ length: stored.length + 1 }, (_, n) => n + 1),
          )
          expect(read.map(({ event }) => event)).toEqual([...stored.map((event) => event.kind), 'done'])
          expect(
            read.filter(({ event }) => event === 'output' || event === 'log').map(({ data }) => data),
          ).toEqual(
            wanted
              .flat()
              .flatMap((one) => (one.kind === 'progress' ? [] : [{ ...JSON.parse(one.data), attempt: 1 }])),
          )
          expect(read.filter(({ event }) => event === 'status').map(({ data }) => data.status)).toEqual([
            'pending',
            'starting',
            'processing',
            'succeeded',
          ])
          expect(read.at(-1)?.data).toMatchObject({ id, status: 'succeeded', output: 'done' })
        }),
        { seed, numRuns: 3 },
      ),
  )

  /** Reads so many events at a time, each time from the other process, and the rest in one go. */
  async function readInPieces(id: string, sizes: number[]): Promise<StreamedEvent[]> {
    const read: StreamedEvent[] = []
    for (let turn = 0; read.at(-1)?.event !== 'done'; turn++) {
      const cut = new AbortController()
      const url = service.urls[turn % 2] ?? ''
      let left = sizes[turn] ?? Number.POSITIVE_INFINITY
      for await (const event of readStream(streamOf(id, read.at(-1)?.id, url), cut.signal)) {
        read.push(event)
        if (--left === 0) break
      }
      cut.abort()
    }
    return read
  }

  async function write(id: string, wanted: { kind: 'output' | 'log' | 'progress'; data: string }[][]) {
    const fence = await beginRun(service.db, id)
    for (const [index, batch] of wanted.entries()) {
      await appendEvents(
        service.db,
        batch.map((one) => ({ ...fence, ...one, batch: index + 1 })),
      )
      queue.signal('changed', [fence.id])
    }
    await settleRun(service.db, fence)
    queue.signal('changed', [fence.id])
  }

  test('each status carries the prediction as it stood', async () => {
    const id = await created()
    const fence = await beginRun(service.db, id)
    await settleRun(service.db, fence, { error: 'It broke' })

    const events = await readWhole(streamOf(id))

    expect(events.map(({ event }) => event)).toEqual(['status', 'status', 'status', 'status', 'done'])
    expect(events.map(({ data }) => data)).toMatchObject([
      { id, status: 'pending', started_at: null, completed_at: null, error: null, metadata: { attempts: 0 } },
      {
        id,
        status: 'starting',
        started_at: null,
        completed_at: null,
        error: null,
        metadata: { attempts: 1 },
      },
      { id, status: 'processing', started_at: expect.any(String), completed_at: null, error: null },
      { id, status: 'failed', completed_at: expect.any(String), error: 'It broke', error_id: 'MODEL_ERROR' },
      { id, status: 'failed', completed_at: expect.any(String), error: 'It broke', error_id: 'MODEL_ERROR' },
    ])
    expect(events[4]?.data).toEqual((await call(`GET /v1/predictions/${id}`)).body)
  })

  test('whoever has the last status gets done, and whoever has done gets nothing', async () => {
    const id = await created()
    await endRun(service.db, id)

    const whole = await readWhole(streamOf(id))

    expect(await readWhole(streamOf(id, whole.at(-2)?.id))).toEqual(whole.slice(-1))
    expect(await readWhole(streamOf(id, whole.at(-1)?.id))).toEqual([])
  })

  test.each(['abc', '-1', '0', '1.5', '999', '99999999999999999999'])(
    'a Last-Event-ID that was never given out (%s) starts from the beginning',
    async (lastEventId) => {
      const id = await created()
      await endRun(service.db, id)
      expect(await readWhole(streamOf(id, lastEventId))).toEqual(await readWhole(streamOf(id)))
    },
  )

  test('so it does while the prediction is on its way', async () => {
    const id = await created()
    const events = readStream(streamOf(id, '7'), AbortSignal.timeout(20_000))
    expect((await events.next()).value).toMatchObject({ id: '1', data: { status: 'pending' } })
    await endRun(service.db, id)
    queue.signal('changed', [uuidOf(id)])
    const rest = await collect(events)
    expect(rest.map((event) => event.id)).toEqual(['2', '3', '4', '5'])
  })

  test('deleting the prediction closes its streams', async () => {
    const id = await created()
    const events = readStream(streamOf(id, undefined, service.urls[1]), AbortSignal.timeout(20_000))
    await events.next()
    await claimRun(service.db, id)

    await call(`DELETE /v1/predictions/${id}`)

    const rest = await collect(events)
    expect(rest.filter(({ event }) => event === 'done')).toEqual([])
    expect((await call(`GET /v1/predictions/${id}/stream`)).status).toBe(404)
  })

  test('a long history comes whole', async () => {
    const id = await created()
    const fence = await beginRun(service.db, id)
    const logs = Array.from({ length: 450 }, (_, n) => ({
      ...fence,
      kind: 'log' as const,
      batch: 1,
      data: JSON.stringify({ text: `line ${n}` }),
    }))
    await appendEvents(service.db, logs)
    await settleRun(service.db, fence)

    const events = await readWhole(streamOf(id))

    expect(events.map((event) => Number(event.id))).toEqual(Array.from({ length: 455 }, (_, n) => n + 1))
  })

  test('without Accept: text/event-stream it is the prediction in JSON', async () => {
    const id = await created()
    expect((await call(`GET /v1/predictions/${id}/stream`)).body).toMatchObject({ id, status: 'pending' })
  })
})

/** The data of an output or log event, with text that is hard on a line protocol. */
function text(name: 'delta' | 'text') {
  return fc
    .oneof(
      fc.string({ unit: 'grapheme', maxLength: 20 }),
      fc.constantFrom('\n\ndata: x', '\r', ': no comment', '', '\u2028'),
    )
    .map((value) => JSON.stringify({ [name]: value.replaceAll('\0', '') }))
}
