import { hash } from 'node:crypto'
import { type Caller, digestsOf, findCallers, type KeyRing } from '@millrace/accounts/api-keys'
import { createBatcher } from '@millrace/database/batch'
import type { Database } from '@millrace/database/connect'
import { wellFormed } from '@millrace/keys/api-key'

/**
 * Remembers callers for a second after their look-up, so that a revocation takes effect within that second; at once where
 * somebody tells of it (`forget`). Those of keys in use are looked up again in the background, all in one statement,
 * before it is over: nobody but the first request of a key waits for the database. A malformed key costs no query, and
 * unknown ones, however many come, are looked up many at a time and push no known one out.
 */
export function keepCallers(db: Database, keyRing: KeyRing): Callers {
  const known = new Map<string, Entry>()
  /** Keys that nobody has, and those that are being looked up. */
  const others = new Map<string, Entry>()
  let timer: NodeJS.Timeout | undefined

  const lookUps = createBatcher<Buffer[], Caller | undefined>({
    flush: (keys) => findAll(db, keys),
    maxInFlight: 2,
  })

  /** Of one key, for whoever waits. */
  async function lookUp(name: string, key: string): Promise<Caller | undefined> {
    const digests = digestsOf(keyRing, key)
    const now = performance.now()
    const entry = { digests, caller: lookUps.add(digests), until: now + knownMs, usedAt: now }
    keep(others, name, entry)
    const caller = await entry.caller.catch((error) => {
      if (others.get(name) === entry) others.delete(name)
      throw error
    })
    // What was forgotten meanwhile may be out of date.
    if (caller && others.get(name) === entry) {
      others.delete(name)
      keep(known, name, { ...entry, is: caller })
    }
    wakeUp()
    return caller
  }

  /** Of all keys in use. Where that fails, those who ask when the second is over look for themselves. */
  async function refresh(): Promise<void> {
    const now = performance.now()
    for (const map of [known, others]) for (const [name, { until }] of map) if (until < now) map.delete(name)
    const used = [...known]
      .filter(([, { usedAt }]) => now - usedAt < inUseMs)
      .sort(([, a], [, b]) => b.usedAt - a.usedAt)
      .slice(0, mostRefreshed)
    if (used.length === 0) return
    try {
      const keys = used.map(([, { digests }]) => digests)
      const found = await findAll(db, keys)
      for (const [index, [name, entry]] of used.entries()) {
        const is = found[index]
        if (is) Object.assign(entry, { is, caller: Promise.resolve(is), until: now + knownMs })
        else if (known.get(name) === entry) known.delete(name)
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
      const entry = known.get(name) ?? others.get(name)
      const now = performance.now()
      if (!entry || entry.until <= now) return wellFormed(key) ? lookUp(name, key) : undefined
      entry.usedAt = now
      return entry.caller
    },
    forget(ids) {
      const gone = new Set(ids)
      others.clear()
      for (const [name, { is }] of known) if (is && namesOf(is).some((id) => gone.has(id))) known.delete(name)
    },
    close: () => clearTimeout(timer),
  }
}

/** What a change that concerns all accounts of a plan is told by. */
export function planSignal(plan: string): string {
  return `plan:${plan}`
}

/** Whose keys these are, each given by its digests. */
async function findAll(db: Database, keys: Buffer[][]): Promise<(Caller | undefined)[]> {
  const found = await findCallers(db, keys.flat())
  const callers = new Map(found.map(({ digest, caller }) => [digest.toString('base64'), caller]))
  return keys.map((digests) =>
    digests.map((digest) => callers.get(digest.toString('base64'))).find((one) => one !== undefined),
  )
}

function namesOf({ keyId, accountId, plan }: Caller): string[] {
  return [keyId, accountId, planSignal(plan.name)]
}

/** The oldest make room. */
function keep(map: Map<string, Entry>, name: string, entry: Entry): void {
  map.delete(name)
  map.set(name, entry)
  for (const oldest of map.keys()) {
    if (map.size <= mostKept) break
    map.delete(oldest)
  }
}

/** After the beginning of its look-up. */
const knownMs = 1_000
/** Leaves a statement half a second. */
const refreshMs = 500
const inUseMs = 10_000
const mostKept = 10_000
const mostRefreshed = 1_000

interface Entry {
  digests: Buffer[]
  caller: Promise<Caller | undefined>
  /** Of a known one, whom the promise tells. */
  is?: Caller
  until: number
  usedAt: number
}

export interface Callers {
  /** Undefined for a key that is unknown, revoked or expired. */
  of(key: string): Promise<Caller | undefined>
  /** Looks those anew whose key, account or plan is among these (a plan by `planSignal`). */
  forget(ids: readonly string[]): void
  close(): void
}
