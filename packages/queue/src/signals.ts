import type { Relay } from 'bullmq'
import { connectSurely } from './connect-surely.ts'
import type { Topic } from './open-queue.ts'

/**
 * Signals between processes over BullMQ's Relay: ids gather while the last message of their topic is on its way, so a
 * busy moment sends few large messages and a quiet one adds no wait. A signal may be lost; whoever needs it polls too.
 */
export function createSignals(makeRelay: () => Relay, report: (error: unknown) => void): Signals {
  const gathering = new Map<Topic, Set<string>>()
  const sending = new Set<Topic>()
  const listening = new Set<Listening>()
  const connection = connectSurely(() => {
    const relay = makeRelay()
    for (const one of listening) subscribe(relay, one)
    return relay
  }, report)

  // Not waited for: a process starts, and polls, while the queue is away.
  function subscribe(relay: Relay, one: Listening): void {
    one.subscribed = relay.subscribe<string[]>(one.topic, ({ data }) => one.listener(data)).catch(report)
  }

  async function send(topic: Topic): Promise<void> {
    sending.add(topic)
    try {
      for (let ids = take(topic); ids.length > 0; ids = take(topic))
        await connection.current().publish(topic, ids)
    } catch (error) {
      report(error)
    } finally {
      sending.delete(topic)
    }
  }

  function take(topic: Topic): string[] {
    const ids = [...(gathering.get(topic) ?? [])].slice(0, maxIds)
    for (const id of ids) gathering.get(topic)?.delete(id)
    return ids
  }

  return {
    send(topic, ids) {
      const waiting = gathering.get(topic) ?? new Set()
      gathering.set(topic, waiting)
      for (const id of ids) if (waiting.size < maxWaiting) waiting.add(id)
      if (!sending.has(topic)) void send(topic)
    },
    async listen(topic, listener) {
      const one: Listening = { topic, listener, subscribed: Promise.resolve() }
      listening.add(one)
      subscribe(connection.current(), one)
      return async () => {
        listening.delete(one)
        const subscription = await Promise.race([one.subscribed, undefined])
        if (subscription) await subscription.unsubscribe().catch(report)
      }
    },
    close: connection.close,
  }
}

/** Ids in one message, and ids that may wait while the queue is away: past it they are dropped, and polls find them. */
const maxIds = 500
const maxWaiting = 10_000

export interface Signals {
  send(topic: Topic, ids: string[]): void
  listen(topic: Topic, listener: (ids: string[]) => void): Promise<() => Promise<void>>
  close(): Promise<void>
}

interface Listening {
  topic: Topic
  listener: (ids: string[]) => void
  subscribed: Promise<{ unsubscribe(): Promise<void> } | undefined | void>
}
