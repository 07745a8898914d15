import { connect } from '@millrace/database/connect'
import { postgresWindows } from '@millrace/limits/postgres-windows'
import { processWindows } from '@millrace/limits/process-windows'
import { type RateCount, type RateStore, type RateWindow, slicesOf } from '@millrace/limits/rate-window'
import { redisWindows } from '@millrace/limits/redis-windows'
import { describe, expect, onTestFinished, test } from 'vitest'
import { startProxy } from './faults/tcp-proxy.ts'
import { freshDatabase } from './harness/database.ts'
import { freshRedis, hearCommands } from './harness/redis.ts'

describe.each(['redis', 'postgres', 'process'] as const)('windows in %s', (kind) => {
  // So few that each slice is a millisecond, and so many that it is ten.
  test.each([20, 150])('never hold more than %i in any second, whoever asks at once', async (limit) => {
    const stores = await givenStores(kind, 3)
    const window = windowOf('burst', limit, 1)
    const granted: number[] = []
    let last = 0
    const first = Math.min(...(await Promise.all(stores.map((store) => count(store, window, 0)))).map(slice))
    async function hammer(store: RateStore): Promise<void> {
      while (last - first < 3.5 * window.slices) {
        const answer = await count(store, window, 1, limit)
        last = Math.max(last, slice(answer))
        if (answer.counted) granted.push(slice(answer))
      }
    }
    await Promise.all(stores.flatMap((store) => Array.from({ length: 4 }, () => hammer(store))))

    granted.sort((a, b) => a - b)
    const spans = granted.slice(limit).map((later, n) => later - (granted[n] ?? 0))
    // As many again come only once all of the first ones have left.
    expect(Math.min(...spans)).toBeGreaterThan(window.slices)
    expect(granted.length).toBeGreaterThan(2 * limit)
  })

  test('what is asked together is counted as a whole or not at all', async () => {
    const [store] = await givenStores(kind, 1)
    const [wide, narrow] = [windowOf('wide', 10, 60), windowOf('narrow', 1, 60)]
    const ask = () =>
      store.count([
        { window: wide, cost: 3, limit: 10 },
        { window: narrow, cost: 1, limit: 1 },
      ])

    expect(await ask()).toMatchObject({ counted: true, readings: [{ used: 3 }, { used: 1 }] })
    expect(await ask()).toMatchObject({
      counted: false,
      readings: [
        { used: 3, fitsMs: 0 },
        { used: 1, fitsMs: expect.toSatisfy((ms) => ms > 50_000) },
      ],
    })
    expect(await count(store, wide, 7, 10)).toMatchObject({ counted: true, readings: [{ used: 10 }] })
  })

  test('of many who ask at once, of several owners, each owner is let in as often as its limit says', async () => {
    const stores = await givenStores(kind, 2)
    const limits = [7, 50, 130]
    const windows = limits.map((limit) => windowOf(`many ${limit}`, limit, 3600, `owner of ${limit}`))
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, n) =>
        Promise.all(
          windows.map((window, w) => count(stores[n % stores.length] ?? stores[0], window, 1, limits[w])),
        ),
      ),
    )

    const letIn = limits.map((_, w) => answers.filter((answer) => answer[w]?.counted).length)
    expect(letIn).toEqual(limits)
    const left = await Promise.all(windows.map((window) => count(stores[0], window, 0)))
    expect(left.map(({ readings }) => readings[0]?.used)).toEqual(limits)
  })

  test('who does not fit is passed by, and who comes next and fits is let in', async () => {
    const [store] = await givenStores(kind, 1)
    const window = windowOf('between', 10, 60)
    const answers = await Promise.all([4, 7, 6].map((cost) => count(store, window, cost, 10)))

    expect(answers.map(({ counted }) => counted)).toEqual([true, false, true])
  })

  test('who was told when to come again is not refused then', async () => {
    const [store] = await givenStores(kind, 1)
    const window = windowOf('again', 4, 1)
    for (const cost of [1, 2, 1]) await count(store, window, cost, 4)
    const { readings } = await count(store, window, 3, 4)
    const [told] = readings
    const due = (told?.slice ?? 0) * window.sliceMs + (told?.fitsMs ?? 0)
    expect(told?.fitsMs).toBeGreaterThan(0)

    for (;;) {
      const answer = await count(store, window, 3, 4)
      if (answer.counted) break
      expect(slice(answer) * window.sliceMs).toBeLessThan(due)
    }
  })

  test('what was counted is corrected where it was counted', async () => {
    const [store] = await givenStores(kind, 1)
    const window = windowOf('tokens', 1_000_000_000, 60)
    const taken = await count(store, window, 700_000_000, 1_000_000_000)
    expect((await count(store, window, 400_000_000, 1_000_000_000)).counted).toBe(false)

    const corrected = await store.count([
      { window, cost: -700_000_000, slice: slice(taken) },
      { window, cost: 5 },
    ])
    expect(corrected.counted).toBe(true)
    expect(await count(store, window, 0)).toMatchObject({ readings: [{ used: 5 }] })
    // To nothing, and what has left its window long ago is not taken back a second time.
    await store.count([{ window, cost: -5, slice: slice(corrected) }])
    await store.count([{ window, cost: -5, slice: slice(taken) - 10 * window.slices }])
    expect(await count(store, window, 0)).toMatchObject({ readings: [{ used: 0, leavesMs: 0 }] })
  })
})

test('a batch of asks in Postgres is counted one after the other', async () => {
  const [store] = await givenStores('postgres', 1)
  const window = windowOf('batch', 5, 60)
  const other = windowOf('other', 1, 60)
  const answers = await Promise.all([
    ...Array.from({ length: 8 }, () => count(store, window, 1, 5)),
    count(store, other, 1, 1),
    count(store, other, 1, 1),
  ])

  expect(answers.map(({ counted }) => counted)).toEqual([
    ...Array.from({ length: 5 }, () => true),
    false,
    false,
    false,
    true,
    false,
  ])
})

test('in Redis, what is asked at once is answered as if it were asked one by one', async () => {
  const [store] = await givenStores('redis', 1)
  const day = 86_400
  const asksOf = (about: string) => {
    const [wide, narrow] = [windowOf(`${about} wide`, 300, day), windowOf(`${about} narrow`, 120, day)]
    return (now: number) =>
      Array.from({ length: 90 }, (_, n) => {
        const cost = 1 + ((n * 7) % 11)
        // Some take back what an earlier one may have counted, now or a while ago.
        if (n % 5 === 4) return [{ window: narrow, cost: -cost, slice: now - (n % 3) }]
        return n % 2 === 0
          ? [
              { window: wide, cost, limit: 300 },
              { window: narrow, cost, limit: 120 },
            ]
          : [{ window: narrow, cost, ...(n % 3 === 0 ? { slice: now - 2 } : { limit: 120 }) }]
        // Many ask for the same.
      }).flatMap((ask, n) => (n % 7 === 0 ? Array.from({ length: 5 }, () => ask) : [ask]))
  }
  const now = slice(await count(store, windowOf('now', 300, day), 0))
  const apart: RateCount[] = []
  for (const ask of asksOf('apart')(now)) apart.push(await store.count(ask))
  const together = await Promise.all(asksOf('together')(now).map((ask) => store.count(ask)))

  // The times are by the clock, which went on in between.
  const seen = ({ counted, readings }: RateCount) => ({
    counted,
    readings: readings.map(({ used, leavesMs, fitsMs }) => ({
      used,
      leaves: leavesMs > 0,
      fits: counted || fitsMs > 0,
    })),
  })
  expect(together.map(seen)).toEqual(apart.map(seen))
})

test('in Redis, what is asked at once costs one call for each owner', async () => {
  const { url, prefix } = freshRedis()
  const store = openRedis(url, prefix)
  await store.opened()
  const calls = await hearCommands(url, prefix)
  const windows = ['one', 'another'].map((owner) => windowOf('shared', 1_000, 60, owner))
  await Promise.all(
    Array.from({ length: 80 }, (_, n) => count(store, windows[n % 2] as RateWindow, 1, 1_000)),
  )

  expect(await calls()).toBe(2)
})

test('asks of a Redis that is silent do not wait for those before them', async () => {
  const { url, prefix } = freshRedis()
  const { hostname, port } = new URL(url)
  const proxy = await startProxy({ host: hostname, port: Number(port) })
  const store = openRedis(`redis://127.0.0.1:${proxy.port}`, prefix)
  onTestFinished(() => proxy.close())
  await store.opened()
  proxy.set('black-hole')
  const answers: Promise<RateCount>[] = []
  for (const name of ['first', 'second', 'third', 'fourth', 'fifth']) {
    const sent = new Promise<void>((resolve) => {
      proxy.before((message) => message.includes(name), resolve)
    })
    answers.push(count(store, windowOf(name, 1, 60), 1, 1))
    await sent
  }
  proxy.set('none')

  expect((await Promise.all(answers)).map(({ counted }) => counted)).toEqual(answers.map(() => true))
})

test('a window is cut so that few numbers are kept', () => {
  expect(slicesOf(10, 60)).toEqual({ sliceMs: 10, slices: 6_000 })
  expect(slicesOf(101, 60)).toEqual({ sliceMs: 600, slices: 100 })
  expect(slicesOf(1, 1)).toEqual({ sliceMs: 1, slices: 1_000 })
  for (const limit of [5, 5_000]) {
    for (const seconds of [1, 7, 60, 86_400]) {
      const { sliceMs, slices } = slicesOf(limit, seconds)
      expect(slices * sliceMs).toBeGreaterThanOrEqual(seconds * 1000)
    }
  }
})

const count = (store: RateStore, window: RateWindow, cost: number, limit?: number) =>
  store.count([{ window, cost, ...(limit === undefined ? {} : { limit }) }])

const slice = ({ readings }: Awaited<ReturnType<RateStore['count']>>) => readings[0]?.slice ?? 0

const windowOf = (name: string, limit: number, seconds: number, owner = 'somebody'): RateWindow => ({
  name,
  owner,
  ...slicesOf(limit, seconds),
})

/** Several processes' stores over the same windows; in a process there is but one. */
async function givenStores(
  kind: 'redis' | 'postgres' | 'process',
  many: number,
): Promise<[RateStore, ...RateStore[]]> {
  const one = await openOne(kind)
  const stores: [RateStore, ...RateStore[]] = [
    one(),
    ...Array.from({ length: kind === 'process' ? 0 : many - 1 }, one),
  ]
  onTestFinished(async () => {
    await Promise.all(stores.map((store) => store.close()))
  })
  await Promise.all(stores.map((store) => store.opened()))
  return stores
}

function openRedis(url: string, prefix: string): RateStore {
  const store = redisWindows(url, prefix)
  onTestFinished(() => store.close())
  return store
}

async function openOne(kind: 'redis' | 'postgres' | 'process'): Promise<() => RateStore> {
  if (kind === 'process') return () => processWindows()
  if (kind === 'redis') {
    const { url, prefix } = freshRedis()
    return () => redisWindows(url, prefix)
  }
  const { url, drop } = await freshDatabase()
  const open: { close(): Promise<void> }[] = []
  onTestFinished(async () => {
    await Promise.all(open.map((db) => db.close()))
    await drop()
  })
  return () => {
    const db = connect({ url, max: 2, name: 'millrace-test' })
    open.push(db)
    return postgresWindows(db)
  }
}
