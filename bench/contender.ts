import type { Stores } from './stores.ts'

/** Something that can be measured. */
export interface Contender {
  /** As it stands in the table. */
  name: string
  /** Starts it on empty stores. */
  start(stores: Stores, options?: StartOptions): Promise<Running>
}

export interface StartOptions {
  /** Nothing is run. */
  paused?: boolean
}

/** A contender at work. */
export interface Running {
  /** How a prediction is created over HTTP; undefined where nobody listens. */
  request?(webhookUrl?: string): CreateRequest
  /** Hands in so much work, as fast as 32 callers at once can; resolves when all of it was taken. */
  load(count: number, webhookUrl?: string): Promise<void>
  /** How much of it is done. */
  done(): Promise<number>
  stop(): Promise<void>
}

export interface CreateRequest {
  url: string
  headers: Record<string, string>
  body: string
}

/** How many callers hand in work at once, in every contender. */
export const callers = 32

/** How much work each does before it is measured, at the least: by then what runs often is compiled. */
export const warmUp = 5_000

/** How many runs a worker takes at a time, in every contender. */
export const concurrency = 50

/** Does `work` so many times, by so many callers at once. */
export async function callAtOnce(count: number, work: () => Promise<unknown>): Promise<void> {
  let left = count
  const call = async () => {
    while (left-- > 0) await work()
  }
  await Promise.all(Array.from({ length: callers }, call))
}
