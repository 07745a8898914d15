/**
 * How the time of a window is cut. What was counted is kept by slices of time, and a slice counts until all of it has
 * left the window: so no time of the window's length ever holds more than the limit, and what is counted leaves it at
 * most a slice late. Of what is counted one by one and rarely, the slices are fine, since few of them are ever filled;
 * of the rest they are a hundredth of the window, so that no more than 101 numbers are kept.
 */
export function slicesOf(limit: number, seconds: number): Pick<RateWindow, 'sliceMs' | 'slices'> {
  const ms = seconds * 1000
  const sliceMs = Math.max(1, Math.round(ms / (limit <= mostFilled ? 6000 : mostFilled)))
  return { sliceMs, slices: Math.ceil(ms / sliceMs) }
}

/** Slices of a window that have a number of their own. */
const mostFilled = 100

/** One window: what is counted under its name, by whoever counts. */
export interface RateWindow {
  /** What is counted apart has another name; so does the same with other slices. */
  name: string
  /** Whose it is: what one ask counts is all of one owner. */
  owner: string
  sliceMs: number
  /** How many of them the window covers, beside the one that it is in. */
  slices: number
}

/** What is counted in one window. */
export interface RateEntry {
  window: RateWindow
  cost: number
  /** Above it nothing of the ask is counted. Without it, the cost is counted whatever there is. */
  limit?: number
  /** The slice to count it in, where that is not the one of the moment: corrects what was counted then. */
  slice?: number
}

/** What became of an entry. */
export interface RateReading {
  /** What the window holds now. */
  used: number
  /** Milliseconds until some of that leaves it. */
  leavesMs: number
  /** Of what was refused, milliseconds until its cost would fit; 0 where it does. */
  fitsMs: number
  /** The slice of the moment. */
  slice: number
}

/** Keeps what is counted. */
export interface RateStore {
  /**
   * Counts all entries, or none where one of them is above its limit. By the clock of the store. A list that is asked again
   * is taken for the same: it is not changed.
   */
  count(entries: readonly RateEntry[]): Promise<RateCount>
  /** Once it can be asked, or cannot for now. */
  opened(): Promise<void>
  close(): Promise<void>
}

export interface RateCount {
  counted: boolean
  /** Of each entry. */
  readings: RateReading[]
}
