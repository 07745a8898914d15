import { setTimeout as delay } from 'node:timers/promises'
import { createBatcher } from '@millrace/database/batch'
import type { Database } from '@millrace/database/connect'
import { readBalances } from './read-balances.ts'
import type { Lane } from './till.ts'

/**
 * Remembers what accounts have for a second after it was heard. Those in use are looked up again in the background, all in
 * one statement, before that is over: nobody but the first call of an account waits for the database, and not for long.
 */
export function keepBalances(db: Database, inTurn: Lane): KeptBalances {
  const known = new Map<string, Known>()
  const owed = new Map<string, number>()
  const asked = new Map<string, Promise<number | undefined>>()
  const lookingUp = createBatcher<string, number>({
    flush: (accountIds) =>
      inTurn(async () => {
        const found = await readBalances(db, [...new Set(accountIds)])
        const balances = new Map(found.map(({ accountId, balance }) => [accountId, balance]))
        for (const accountId of accountIds) learn(accountId, balances.get(accountId) ?? 0)
        return accountIds.map((accountId) => balances.get(accountId) ?? 0)
      }),
    maxSize: mostRefreshed,
  })
  let timer: NodeJS.Timeout | undefined

  function learn(accountId: string, balance: number): void {
    const now = performance.now()
    if (known.size >= mostKnown) known.clear()
    known.set(accountId, { balance, until: now + knownMs, usedAt: known.get(accountId)?.usedAt ?? now })
  }

  function refresh(): void {
    const now = performance.now()
    for (const [accountId, { usedAt }] of known) if (now - usedAt > inUseMs) known.delete(accountId)
    const due = [...known].filter(([, { until }]) => until - now < refreshMs).slice(0, mostRefreshed)
    // Whoever asks next looks for himself.
    void Promise.all(due.map(([accountId]) => lookingUp.add(accountId))).catch(() => undefined)
    if (known.size > 0) wakeUp()
  }

  function wakeUp(): void {
    timer ??= setTimeout(() => {
      timer = undefined
      refresh()
    }, refreshMs).unref()
  }

  function left(accountId: string): number | undefined {
    const entry = known.get(accountId)
    return entry && entry.balance - (owed.get(accountId) ?? 0)
  }

  async function freshOf(accountId: string): Promise<number | undefined> {
    const answer = lookingUp.add(accountId).catch(() => undefined)
    await Promise.race([answer, delay(patienceMs, undefined, { ref: false })])
    const entry = known.get(accountId)
    if (entry) entry.usedAt = performance.now()
    wakeUp()
    return left(accountId)
  }

  /** Those who come while one is under way wait for the same. */
  function lookUp(accountId: string): Promise<number | undefined> {
    const underWay = asked.get(accountId)
    if (underWay) return underWay
    const answer = freshOf(accountId).finally(() => asked.delete(accountId))
    asked.set(accountId, answer)
    return answer
  }

  return {
    learn,
    owe(accountId, amount) {
      const sum = (owed.get(accountId) ?? 0) + amount
      if (sum === 0) owed.delete(accountId)
      else owed.set(accountId, sum)
    },
    async of(accountId) {
      const entry = known.get(accountId)
      const now = performance.now()
      if (!entry || entry.until <= now) return lookUp(accountId)
      entry.usedAt = now
      wakeUp()
      return left(accountId)
    },
    freshOf,
    close: () => clearTimeout(timer),
  }
}

/** After it was heard. */
const knownMs = 1_000
/** Leaves a statement half a second. */
const refreshMs = 500
const inUseMs = 10_000
const mostKnown = 10_000
const mostRefreshed = 1_000
/** An answer is not held up for longer; what was heard last is told then. */
const patienceMs = 500

interface Known {
  balance: number
  until: number
  usedAt: number
}

/** Money is in millionths of a credit. */
export interface KeptBalances {
  /** What the database just said. */
  learn(accountId: string, balance: number): void
  /** What is charged, and not booked yet; less than 0 when it is. */
  owe(accountId: string, amount: number): void
  /** What is left of it all; undefined where the database has never told. */
  of(accountId: string): Promise<number | undefined>
  /** The same as of now. */
  freshOf(accountId: string): Promise<number | undefined>
  close(): void
}
