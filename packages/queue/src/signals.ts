import type { Channel } from './channel.ts'
import type { Topic } from './open-queue.ts'

/**
 * Signals between processes: ids gather while the last message of their topic is on its way, so a busy moment sends few
 * large messages and a quiet one adds no wait. A signal may be lost; whoever needs it polls too.
 */
export function createSignals(channel: Channel, report: (error: unknown) => void): Signals {
  const gathering = new Map<Topic, Set<string>>()
  const sending = new Set<Topic>()
  const listeners = new Map<Topic, Set<Listener>>()

  async function send(topic: Topic): Promise<void> {
    sending.add(topic)
    try {
      for (let ids = take(topic); ids.length > 0; ids = take(topic))
        await channel.publish(topic, ids.join(' '))
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

  function listenersOf(topic: Topic): Set<Listener> {
    const known = listeners.get(topic)
    if (known) return known
    const own = new Set<Listener>()
    listeners.set(topic, own)
    // Not waited for: a process starts, and polls, while the queue is away.
    channel.subscribe(topic, (text) => {
      const ids = text.split(' ')
      for (const listener of own) listener(ids)
    })
    return own
  }

  return {
    send(topic, ids) {
      if (ids.length === 0) return
      const waiting = gathering.get(topic) ?? new Set()
      gathering.set(topic, waiting)
      for (const id of ids) if (waiting.size < maxWaiting) waiting.add(id)
      if (!sending.has(topic)) void send(topic)
    },
    listen(topic, listener) {
      const own = listenersOf(topic).add(listener)
      return () => void own.delete(listener)
    },
    close: () => channel.close(),
  }
}

/** Ids in one message, which fits the 8,000 bytes of a NOTIFY. */
const maxIds = 200
/** Ids that may wait while the queue is away: past it they are dropped, and polls find them. */
const maxWaiting = 10_000

export interface Signals {
  send(topic: Topic, ids: string[]): void
  listen(topic: Topic, listener: Listener): () => void
  close(): Promise<void>
}

type Listener = (ids: string[]) => void
