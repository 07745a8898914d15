import { createAccount } from '@millrace/accounts/accounts'
import { createKeyRing } from '@millrace/accounts/api-keys'
import { connect, type Database } from '@millrace/database/connect'
import { newId } from '@millrace/database/ids'
import { migrate } from '@millrace/database/migrate'
import { moveCredits } from '@millrace/ledger/move-credits'
import { accept } from '@millrace/lifecycle/accept'
import { claim } from '@millrace/lifecycle/claim'
import type { Lifecycle } from '@millrace/lifecycle/lifecycle'
import { settle } from '@millrace/lifecycle/settle'
import { draftOf, output } from '../contenders/moves-alone.ts'
import type { Row, Work } from '../work.ts'

/** The balance of an account is one row: what it lets through, from several processes' connections. */
export const holds: Work = {
  name: 'holds',
  title:
    'Holds a second: predictions of accounts that pay for them, accepted in batches of 50 over 4 connections',
  columns: { rate: 'holds/s' },
  rows: [
    row('one account', { accounts: 1, hold: 10 }),
    row('one account, one prediction a batch, 16 connections', {
      accounts: 1,
      hold: 10,
      batch: 1,
      loops: 16,
    }),
    row('100 accounts', { accounts: 100, hold: 10 }),
    row('nothing to pay', { accounts: 1, hold: 0 }),
    row('one account, claimed and charged as well', { accounts: 1, hold: 10, toEnd: true }),
    row('nothing to pay, claimed and ended as well', { accounts: 1, hold: 0, toEnd: true }),
  ],
}

function row(name: string, load: Load): Row {
  const { loops = 4 } = load
  return {
    name,
    async measure(stores, { seconds }) {
      const { databaseUrl, drop } = await stores.fresh()
      await migrate(databaseUrl)
      const db = connect({ url: databaseUrl, max: loops, name: 'bench' })
      try {
        const accounts = await Promise.all(Array.from({ length: load.accounts }, () => richAccount(db)))
        const lifecycle = { db, links: { publicUrl: '', file: () => '' } }
        const move = (nth: number) => moveOn(lifecycle, accounts, `noop-${nth}`, load)
        const all = (loop: (nth: number) => Promise<void>) =>
          Promise.all(Array.from({ length: loops }, (_, nth) => loop(nth)))
        // Each connection plans a statement anew for the first few times.
        await all(async (nth) => {
          for (let n = 0; n < 6; n++) await move(nth)
        })
        const began = performance.now()
        let done = 0
        await all(async (nth) => {
          while (performance.now() < began + seconds * 1000) {
            // Not `done += await`: what the others did meanwhile would be lost.
            const count = await move(nth)
            done += count
          }
        })
        return { rate: (done * 1000) / (performance.now() - began) }
      } finally {
        await db.close()
        await drop()
      }
    },
  }
}

async function richAccount(db: Database): Promise<string> {
  const accountId = await createAccount(db, createKeyRing('b'.repeat(32)), newId())
  await moveCredits(db, { accountId, amount: 1e15, reason: 'for the bench' })
  return accountId
}

async function moveOn(
  lifecycle: Lifecycle,
  accounts: string[],
  model: string,
  { hold, batch = 50, toEnd = false }: Load,
): Promise<number> {
  const drafts = Array.from({ length: batch }, (_, n) => ({
    ...draftOf(accounts[n % accounts.length] ?? '', model),
    hold,
    price: hold > 0 ? ({ unit: 'prediction', rate: String(hold) } as const) : null,
  }))
  const verdicts = await accept(lifecycle, drafts)
  if (!verdicts.every((verdict) => verdict === true)) throw new Error('it was not paid for')
  if (!toEnd) return batch
  const claims = await claim(lifecycle, {
    model,
    limit: batch,
    worker: 'bench',
    leaseSeconds: 15,
    warm: true,
  })
  await settle(
    lifecycle,
    claims.map(({ id, attempt }) => ({ id, attempt, verb: 'succeed', output, files: [] })),
  )
  return claims.length
}

interface Load {
  accounts: number
  /** Micros. */
  hold: number
  batch?: number
  loops?: number
  toEnd?: boolean
}
