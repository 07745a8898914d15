import type { Queue, Relay, Worker } from 'bullmq'

/** What carries bells and signals: BullMQ on Redis or on Postgres. */
export interface Transport {
  queue(name: string): Queue
  worker(name: string, process: (job: { data: unknown }) => Promise<void>): Worker
  relay(): Relay
  /** False while it is known not to do its work. */
  ready(): boolean
  close(): Promise<void>
}

/** Bells one process answers at a time: each only claims up to its free slots and returns. */
export const bellsAtOnce = 4

/** How soon a bell is asked for again after its connection was refused; BullMQ would wait for 15 s. */
export const retryMs = 1_000
