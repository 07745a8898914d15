import { hash } from 'node:crypto'
import { type Caller, digestsOf, findCallers, type KeyRing } from '@millrace/accounts/api-keys'
import type { Database } from '@millrace/database/connect'
import { wellFormed } from '@millrace/keys/api-key'

/**
 * Remembers callers for a second after their look-up, so that a revocation takes effect within that second. Those of keys
 * in use are looked up again in the background, all in one statement, before it is over: nobody but the first request of
 * a key waits for the database. A malformed key costs no query.
 */
export function keepCallers(db: Database, keyRing: KeyRing): Callers {
  const known = new Map<string, Known>()
  let timer: NodeJS.Timeout | undefined

  /** Of one key, for whoever waits. */
  async function lookUp(name: string, key: string): Promise<Caller | undefined> {
    const digests = digestsOf(keyRing, key)
    const now = performance.now()
    const caller = findCallers(db, digests).then(([found]) => found?.caller)
    if (known.size >= mostKnown) known.clear()
    const entry = { digests, caller, isSomebody: false, until: now + knownMs, usedAt: now }
    known.set(name, entry)
    try {
      entry.isSomebody = (await caller) !== undefined
    } catch (error) {
      if (known.get(name) === entry) known.delete(name)
      throw error
    }
    wakeUp()
    return caller
  }

  /** Of all keys in use. Where that fails, those who ask when the second is over look for themselves. */
  async function refresh(): Promise<void> {
    const now = performance.now()
    for (const [name, { until }] of known) if (until < now) known.delete(name)
    const used = [...known.values()]
      .filter(({ isSomebody, usedAt }) => isSomebody && now - usedAt < inUseMs)
      .sort((a, b) => b.usedAt - a.usedAt)
      .slice(0, mostRefreshed)
    if (used.length === 0) return
    try {
      const found = await findCallers(
        db,
        used.flatMap(({ digests }) => digests),
      )
      const callers = new Map(found.map(({ digest, caller }) => [digest.toString('base64'), caller]))
      for (const entry of used) {
        const caller = entry.digests
          .map((digest) => callers.get(digest.toString('base64')))
          .find((one) => one !== undefined)
        Object.assign(entry, { caller: Promise.resolve(caller), isSomebody: caller !== undefined })
        entry.until = now + knownMs
      }
    } catch {
      // Whoever asks next is told.
    }
    wakeUp()
  }

  function wakeUp(): void {
    timer ??= setTimeout(() => {
      timer = undefined
      void refresh()
    }, refreshMs).unref()
  }

  return {
    async of(key) {
      const name = hash('sha256', key, 'base64')
      const entry = known.get(name)
      const now = performance.now()
      if (!entry || entry.until <= now) return wellFormed(key) ? lookUp(name, key) : undefined
      entry.usedAt = now
      return entry.caller
    },
    close: () => clearTimeout(timer),
  }
}

/** After the beginning of its look-up. */
const knownMs = 1_000
/** Leaves a statement half a second. */
const refreshMs = 500
const inUseMs = 10_000
const mostKnown = 10_000
const mostRefreshed = 1_000

interface Known {
  digests: Buffer[]
  caller: Promise<Caller | undefined>
  isSomebody: boolean
  until: number
  usedAt: number
}

export interface Callers {
  /** Undefined for a key that is unknown, revoked or expired. */
  of(key: string): Promise<Caller | undefined>
  close(): void
}
