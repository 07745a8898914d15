import type { Queue, Worker } from 'bullmq'
import type { Channel } from './channel.ts'

/** What carries bells and signals: BullMQ and a channel, both on Redis or both on Postgres. */
export interface Transport {
  queue(name: string): Queue
  worker(name: string, process: (job: { data: unknown }) => Promise<void>): Worker
  channel(report: (error: unknown) => void): Channel
  /** False while it is known not to do its work. */
  ready(): boolean
  close(): Promise<void>
}

/** Bells of a pool that one process answers at a time: one that keeps its bell is given no other. */
export const bellsAtOnce = 1

/** How soon a connection that was refused is tried again; BullMQ would wait for 15 s. */
export const retryMs = 1_000
