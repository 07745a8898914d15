import type { Topic } from './open-queue.ts'

/**
 * Carries short texts between the processes that are connected at that moment. Nothing is kept: what is sent while
 * somebody is away never reaches him.
 */
export interface Channel {
  /** Rejects when it is known that nobody got it. */
  publish(topic: Topic, text: string): Promise<void>
  /** One listener a topic. It hears from when the store knows of it, and again after every break. */
  subscribe(topic: Topic, listener: (text: string) => void): void
  close(): Promise<void>
}
