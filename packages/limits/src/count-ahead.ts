import type { CountedAt, FallingBack } from './fall-back.ts'
import type { RateCount, RateEntry, RateReading } from './rate-window.ts'

/**
 * Where the same is asked for often, counts some of it before it is asked for, so that those who ask do not wait for the
 * store. What was counted ahead is good for the slice of time that it was counted in, as if it had been asked for then,
 * and for two turns at most; what is left of it goes back after that. So no window ever holds more than its limit, nor less
 * than was asked for. Nothing is counted ahead once half of a limit is used, where somebody else may soon need it.
 */
export function countAhead(store: FallingBack): FallingBack {
  const lines = new Map<string, Line>()
  const linesOf = new WeakMap<readonly RateEntry[], Line>()

  function lineOf(entries: readonly RateEntry[]): Line | undefined {
    const known = linesOf.get(entries)
    if (known) return known
    if (!entries.every(isOneOfMany)) return undefined
    const turnMs = Math.min(longestTurnMs, ...entries.map(({ window }) => window.sliceMs))
    if (turnMs < shortestTurnMs) return undefined
    const name = entries.map(({ window, limit }) => `${window.name} ${limit}`).join()
    const line = lines.get(name) ?? {
      entries,
      turnMs,
      asked: 0,
      since: 0,
      often: 0,
      restsUntil: 0,
      told: { readings: [], at: 0 },
      stocks: [],
    }
    if (lines.size >= mostLines)
      for (const [old, { stocks }] of lines) if (stocks.length === 0) lines.delete(old)
    lines.set(name, line)
    linesOf.set(entries, line)
    return line
  }

  async function fill(line: Line): Promise<void> {
    const wanted = Math.min(mostAhead, Math.ceil(line.often))
    const sentAt = performance.now()
    // Until it is answered nobody asks for more.
    line.restsUntil = Number.POSITIVE_INFINITY
    const ahead = line.entries.map(({ window, limit = 0 }) => ({
      window,
      cost: wanted,
      limit: Math.floor(limit / 2),
    }))
    const { counted, readings } = await store.count(ahead, 'shared')
    line.restsUntil = counted ? 0 : sentAt + restMs
    if (!counted) return
    // The store counted it after it was sent, by a clock of whole milliseconds: so its slice is not over before that.
    const lasting = readings.map(({ leavesMs }, n) => leavesMs % (line.entries[n]?.window.sliceMs ?? 1))
    const until = sentAt + Math.min(2 * line.turnMs, ...lasting) - 1
    const now = performance.now()
    line.told = { readings, at: now }
    const stock: Stock = { left: wanted, until, readings }
    stock.timer = setTimeout(() => void giveBack(line, stock), Math.max(0, until - now)).unref()
    line.stocks.push(stock)
  }

  async function giveBack(line: Line, stock: Stock): Promise<void> {
    clearTimeout(stock.timer)
    line.stocks = line.stocks.filter((other) => other !== stock)
    const { left, readings } = stock
    if (left === 0) return
    stock.left = 0
    line.told.readings = line.told.readings.map((reading) => ({ ...reading, used: reading.used - left }))
    const corrections = line.entries.map(({ window }, n) => ({
      window,
      cost: -left,
      slice: readings[n]?.slice ?? 0,
    }))
    await store.count(corrections, 'shared')
  }

  async function countNow(line: Line, entries: readonly RateEntry[]): Promise<RateCount & { at: CountedAt }> {
    const answer = await store.count(entries)
    const now = performance.now()
    if (answer.at === 'process') {
      // While the store is away everything is counted here.
      line.restsUntil = now + restMs
      return answer
    }
    line.told = { readings: answer.readings, at: now }
    const left = leftOf(line)
    if (left === 0) return answer
    return {
      ...answer,
      readings: answer.readings.map((reading) => ({ ...reading, used: reading.used - left })),
    }
  }

  return {
    count(entries, at) {
      const line = at === undefined ? lineOf(entries) : undefined
      if (!line) return store.count(entries, at)
      const now = performance.now()
      noteAsk(line, now)
      const stock = line.stocks.find(({ left, until }) => left > 0 && now < until)
      if (stock) stock.left--
      const left = leftOf(line)
      if (line.often >= fewest && now >= line.restsUntil && left < line.often / 2) void fill(line)
      return stock ? Promise.resolve(answerFrom(line, { stock, left, now })) : countNow(line, entries)
    },
    opened: () => store.opened(),
    async close() {
      await Promise.all(
        [...lines.values()].flatMap((line) => line.stocks.map((stock) => giveBack(line, stock))),
      )
      await store.close()
    },
  }
}

function noteAsk(line: Line, now: number): void {
  const passed = now - line.since
  if (passed >= line.turnMs) {
    line.often = (line.asked * line.turnMs) / passed
    line.asked = 0
    line.since = now
  }
  line.asked++
}

/** What the store has counted, and nobody has asked for yet. */
function leftOf({ stocks }: Line): number {
  let sum = 0
  for (const { left } of stocks) sum += left
  return sum
}

/** As the store would have answered, by what it said last. */
function answerFrom(
  line: Line,
  { stock, left, now }: { stock: Stock; left: number; now: number },
): RateCount & { at: CountedAt } {
  const { readings: told, at } = line.told
  const readings = stock.readings.map(({ slice }, n): RateReading => {
    const { used, leavesMs } = told[n] as RateReading
    return { used: used - left, leavesMs: Math.max(0, leavesMs - (now - at)), fitsMs: 0, slice }
  })
  return { counted: true, readings, at: 'shared' }
}

/** One of so many that some may be counted ahead. */
const isOneOfMany = ({ cost, limit = 0, slice }: RateEntry) =>
  cost === 1 && limit > manyAllowed && slice === undefined

const manyAllowed = 100
/** So much of a time is counted ahead, unless slices are shorter. Shorter ones than these are over too soon. */
const longestTurnMs = 100
const shortestTurnMs = 10
/** In a turn. Below that those who ask share calls of the store well enough. */
const fewest = 10
const mostAhead = 10_000
const mostLines = 10_000
/** After it was said that too much is used, or while the store is away. */
const restMs = 1_000

/** What is asked for by the same entries. */
interface Line {
  entries: readonly RateEntry[]
  turnMs: number
  /** Since then, in this turn. */
  asked: number
  since: number
  /** In the turn before. */
  often: number
  restsUntil: number
  /** What the store said last, and when. */
  told: { readings: RateReading[]; at: number }
  /** What was counted ahead, oldest first. */
  stocks: Stock[]
}

interface Stock {
  left: number
  until: number
  readings: RateReading[]
  timer?: NodeJS.Timeout
}
