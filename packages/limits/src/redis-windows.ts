import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { createBatcher } from '@millrace/database/batch'
import { connectRedis } from '@millrace/queue/connect-redis'
import type { RateCount, RateEntry, RateReading, RateStore } from './rate-window.ts'
import { script } from './redis-script.ts'

/**
 * Windows in Redis, by its clock: what is asked at once by one owner goes in one script, which counts one ask after
 * another. A call that is not answered at once fails: whoever asks has something better to do than to wait.
 */
export function redisWindows(url: string, prefix = 'millrace'): RateStore {
  const redis = connectRedis(url, { maxRetriesPerRequest: 0, commandTimeout: 1_000, socketTimeout: 2_000 })
  redis.defineCommand('countRates', { lua: script })
  const scripted = redis as unknown as Scripted

  /** Each owner's asks are answered, or fail, by themselves. */
  async function countOwn(owner: string | undefined, asks: readonly Ask[]): Promise<void> {
    try {
      const groups = gather(asks)
      const { names, given } = write(groups)
      // In a cluster what is counted together must be on one node.
      const keys = names.map((name) => `${prefix}:rates:{${owner}}:${name}`)
      read(groups, await scripted.countRates(keys.length, ...keys, given))
    } catch (error) {
      for (const { reject } of asks) reject(error)
    }
  }

  const batcher = createBatcher<Ask, void>({
    async flush(asks) {
      const owners = Map.groupBy(asks, ({ entries }) => entries[0]?.window.owner)
      await within(Promise.all([...owners].map(([owner, own]) => countOwn(owner, own))), gatherMs)
      return []
    },
    maxSize: 100,
    maxInFlight: 2,
  })

  return {
    count: (entries) =>
      new Promise((resolve, reject) => {
        void batcher.add({ entries, resolve, reject })
      }),
    async opened() {
      if (redis.status === 'ready') return
      await Promise.race([once(redis, 'ready'), delay(openMs, undefined, { ref: false })]).catch(
        () => undefined,
      )
    },
    async close() {
      redis.disconnect()
    },
  }
}

/** Those that ask for the same one after the other, as one: so many times. */
function gather(asks: readonly Ask[]): Group[] {
  const groups: Group[] = []
  for (const ask of asks) {
    const last = groups.at(-1)
    if (last && last.entries === ask.entries) last.asks.push(ask)
    else groups.push({ entries: ask.entries, asks: [ask] })
  }
  return groups
}

/** The windows once each, and after their slices the groups, as the script reads them: numbers, and false for what is not. */
function write(groups: readonly Group[]): { names: string[]; given: string } {
  const places = new Map<string, number>()
  const windows: number[] = []
  const asked: (number | false)[] = []
  for (const { entries, asks } of groups) {
    asked.push(asks.length, entries.length)
    for (const { window, cost, limit = false, slice = false } of entries) {
      let place = places.get(window.name)
      if (place === undefined) {
        place = places.size + 1
        places.set(window.name, place)
        windows.push(window.sliceMs, window.slices)
      }
      asked.push(place, cost, limit, slice)
    }
  }
  return { names: [...places.keys()], given: JSON.stringify([...windows, ...asked]) }
}

/** Of a group the first so many were counted, and what the windows hold is told as of the last: each of those before it saw one less. */
function read(groups: readonly Group[], numbers: readonly number[]): void {
  let at = 0
  const next = () => numbers[at++] ?? 0
  for (const { entries, asks } of groups) {
    const counted = next()
    const last = entries.map(
      (): RateReading => ({ used: next(), leavesMs: next(), fitsMs: next(), slice: next() }),
    )
    for (const [n, { resolve }] of asks.entries()) {
      const later = counted - 1 - n
      const readings =
        later <= 0 ? last : last.map((reading, e) => earlier(reading, later * (entries[e]?.cost ?? 0)))
      resolve({ counted: later >= 0, readings })
    }
  }
}

/** What was read before so much more was counted. */
const earlier = ({ used, leavesMs, slice }: RateReading, more: number): RateReading => ({
  used: used - more,
  leavesMs,
  fitsMs: 0,
  slice,
})

/** Once the work is done, or for now. The work does not fail. */
function within(work: Promise<unknown>, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    void work.then(() => {
      clearTimeout(timer)
      resolve()
    })
  })
}

/**
 * Batches that were not answered within that time hold up the next ones no longer. So with a Redis that is slow or silent
 * all asks are on their way before those who asked give up, and none is counted long after that for having waited here.
 */
const gatherMs = 5

/** For the first connection; one that is refused is known sooner. */
const openMs = 1_000

interface Group {
  entries: readonly RateEntry[]
  asks: Ask[]
}

interface Ask {
  entries: readonly RateEntry[]
  resolve: (answer: RateCount) => void
  reject: (error: unknown) => void
}

interface Scripted {
  countRates(count: number, ...parameters: string[]): Promise<number[]>
}
