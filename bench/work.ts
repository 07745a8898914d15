import type { Running } from './contender.ts'
import type { Stores } from './stores.ts'

/** Measures something that runs, and stops it whatever happens. */
export async function using<R extends Pick<Running, 'stop'>, T>(
  running: R,
  measure: (running: R) => Promise<T>,
): Promise<T> {
  try {
    return await measure(running)
  } finally {
    await running.stop()
  }
}

/** The two ways to run this service, as rows. */
export function onBothQueues(
  measure: (stores: Stores, size: Size, onRedis: boolean) => Promise<Figures>,
): Row[] {
  return [
    { name: 'Millrace (Redis)', measure: (stores, size) => measure(stores, size, true) },
    { name: 'Millrace (embedded)', measure: (stores, size) => measure(stores, size, false) },
  ]
}

/** One thing to be measured, of several contenders or under several conditions. */
export interface Work {
  /** What `--only` knows it by. */
  name: string
  title: string
  /** The figures, by their names, and what stands over them in the table. Rows are compared by their `rate`. */
  columns: Record<string, string>
  rows: Row[]
}

export interface Row {
  name: string
  /** It takes minutes: measured in the first round only. */
  once?: boolean
  measure(stores: Stores, size: Size): Promise<Figures>
}

export type Figures = Record<string, number>

export interface Size {
  /** How long a load of unlimited work lasts. */
  seconds: number
  /** How much limited work there is. */
  count: number
  /** How many predictions there are where their number is what matters. */
  rows: number
  /** How many streamed requests there are where memory is watched over them. */
  requests: number
}
