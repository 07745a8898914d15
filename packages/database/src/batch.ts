/**
 * Collects concurrent calls into batches: while one batch is in flight the next one gathers, and when nothing is in
 * flight a call leaves at the end of the current turn, so an idle service adds no wait.
 *
 * `flush` gets the items of one batch and answers with a result for each, in the same order. Items over `maxWeight`
 * (as `weigh` tells) travel alone. When a batch is refused for what one of its rows holds (`isPoison`), it is halved
 * until the culprit stands alone, so that one bad row never fails its neighbours.
 */
export function createBatcher<Item, Result>(options: BatcherOptions<Item, Result>): Batcher<Item, Result> {
  const { flush, maxSize = 100, maxInFlight = 1, weigh = () => 0, maxWeight = 256 * 1024 } = options
  const isPoison = options.isPoison ?? (() => false)
  const waiting: Waiting<Item, Result>[] = []
  let inFlight = 0
  let scheduled = false

  function schedule(): void {
    if (scheduled || inFlight >= maxInFlight || waiting.length === 0) return
    scheduled = true
    setImmediate(() => {
      scheduled = false
      while (inFlight < maxInFlight && waiting.length > 0) void leave(take())
    })
  }

  function take(): Waiting<Item, Result>[] {
    let weight = 0
    let size = 0
    while (size < waiting.length && size < maxSize) {
      const entry = waiting[size]
      if (entry === undefined) break
      weight += weigh(entry.item)
      if (size > 0 && weight > maxWeight) break
      size++
    }
    return waiting.splice(0, size)
  }

  async function leave(batch: Waiting<Item, Result>[]): Promise<void> {
    inFlight++
    await settle(batch)
    inFlight--
    schedule()
  }

  async function settle(batch: Waiting<Item, Result>[]): Promise<void> {
    try {
      const results = await flush(batch.map(({ item }) => item))
      batch.forEach(({ resolve }, index) => {
        resolve(results[index] as Result)
      })
    } catch (error) {
      if (batch.length === 1 || !isPoison(error)) {
        for (const { reject } of batch) reject(error)
        return
      }
      const half = batch.length >> 1
      await settle(batch.slice(0, half))
      await settle(batch.slice(half))
    }
  }

  return {
    add: (item) =>
      new Promise((resolve, reject) => {
        waiting.push({ item, resolve, reject })
        schedule()
      }),
  }
}

export interface Batcher<Item, Result> {
  add(item: Item): Promise<Result>
}

export interface BatcherOptions<Item, Result> {
  flush: (items: Item[]) => Promise<Result[]>
  maxSize?: number
  maxInFlight?: number
  weigh?: (item: Item) => number
  maxWeight?: number
  isPoison?: (error: unknown) => boolean
}

interface Waiting<Item, Result> {
  item: Item
  resolve: (result: Result) => void
  reject: (error: unknown) => void
}
