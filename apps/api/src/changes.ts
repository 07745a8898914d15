import type { Database } from '@millrace/database/connect'
import type { Log } from '@millrace/process/log'
import type { Queue } from '@millrace/queue/open-queue'

/**
 * Tells waiting requests and streams that their prediction changed: by the queue's signal, which may be lost, and by
 * one poll a second for everything that is being watched.
 */
export function watchChanges(db: Database, queue: Queue, log: Log): Changes {
  const watched = new Map<string, Set<() => void>>()
  const seen = new Map<string, string>()

  function notify(ids: readonly string[]): void {
    for (const id of ids) for (const listener of watched.get(id) ?? []) listener()
  }

  async function poll(): Promise<void> {
    if (watched.size === 0) return
    const ids = [...watched.keys()].sort()
    const { rows } = await db.pool.query<{ id: string; version: string }>({
      name: 'watch-changes',
      text: `select p.id, concat_ws('/', p.status, p.attempt, r.event_seq, p.deleted_at) as version
             from predictions p left join runs r on r.prediction_id = p.id
             where p.id = any($1::uuid[]) and p.id between $2 and $3`,
      values: [ids, ids[0], ids.at(-1)],
    })
    const changed = rows.filter(({ id, version }) => seen.get(id) !== version)
    for (const { id, version } of changed) if (watched.has(id)) seen.set(id, version)
    notify(changed.map(({ id }) => id))
  }

  // One at a time: against a database that hangs they would pile up and take every connection of the pool.
  let polling = false
  const timer = setInterval(() => {
    if (polling) return
    polling = true
    poll()
      .catch((error: unknown) => log.debug({ err: error }, 'the poll for changes failed'))
      .finally(() => {
        polling = false
      })
  }, 1_000)
  const stop = queue.listen('changed', notify)

  return {
    watch(id, listener) {
      const listeners = watched.get(id) ?? new Set()
      watched.set(id, listeners.add(listener))
      return () => {
        listeners.delete(listener)
        if (listeners.size > 0 || watched.get(id) !== listeners) return
        watched.delete(id)
        seen.delete(id)
      }
    },
    close() {
      clearInterval(timer)
      stop()
    },
  }
}

/** `watch` calls back on each change of a prediction, until what it returns is called. */
export interface Changes {
  watch(id: string, listener: () => void): () => void
  close(): void
}
