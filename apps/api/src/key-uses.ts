import { noteUses } from '@millrace/accounts/key-uses'
import type { Database } from '@millrace/database/connect'
import type { Log } from '@millrace/process/log'

/** Notes when keys are used: at most once a minute of each, those of a moment in one statement, and nobody waits for it. */
export function keepUses(db: Database, log: Log): KeyUses {
  const noted = new Map<string, number>()
  let used = new Set<string>()
  let timer: NodeJS.Timeout | undefined

  async function write(): Promise<void> {
    timer = undefined
    const ids = [...used]
    used = new Set()
    const now = performance.now()
    for (const [id, at] of noted) if (now - at >= minuteMs) noted.delete(id)
    if (ids.length === 0) return
    try {
      await noteUses(db, ids)
    } catch (error) {
      log.debug({ err: error }, 'the last uses of keys were not noted')
      for (const id of ids) noted.delete(id)
    }
  }

  return {
    note(keyId) {
      const now = performance.now()
      if (now - (noted.get(keyId) ?? Number.NEGATIVE_INFINITY) < minuteMs) return
      noted.set(keyId, now)
      used.add(keyId)
      timer ??= setTimeout(() => void write(), gatherMs).unref()
    },
    async close() {
      clearTimeout(timer)
      await write()
    },
  }
}

const minuteMs = 60_000
const gatherMs = 1_000

export interface KeyUses {
  note(keyId: string): void
  /** Writes what is not written yet. */
  close(): Promise<void>
}
