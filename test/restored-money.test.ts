import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from '@millrace/database/connect'
import { dumpDatabase } from '@millrace/database/dump'
import { loadDatabase } from '@millrace/database/load'
import { accept } from '@millrace/lifecycle/accept'
import { begin } from '@millrace/lifecycle/begin'
import { settle } from '@millrace/lifecycle/settle'
import { expect, onTestFinished, test } from 'vitest'
import { booksOf, givenFunds, paidDraft } from './given-credits.ts'
import { claimed, lifecycleOn } from './given-predictions.ts'
import { emptyDatabase, freshDatabase } from './harness/database.ts'

test('what is restored from a backup has its balances, its ledger and its holds, and is charged where it ends', async () => {
  const [there, here] = [await freshDatabase(), await emptyDatabase()]
  const folder = await mkdtemp(join(tmpdir(), 'millrace-dump-'))
  onTestFinished(async () => {
    await Promise.all([there.drop(), rm(folder, { recursive: true })])
    await here.drop()
  })
  const account = await givenFunds(there.db, 100)
  const [done, running] = [paidDraft(account, 10), paidDraft(account, 20)]
  await accept(lifecycleOn(there.db), [done, running])
  const fence = await claimed(there.db, done.model)
  await begin(lifecycleOn(there.db), [fence])
  await settle(lifecycleOn(there.db), [{ ...fence, verb: 'succeed', output: '1', files: [] }])

  await dumpDatabase(there.url, folder)
  await loadDatabase(here.url, folder)

  const db = connect({ url: here.url, max: 2, name: 'restored' })
  expect(await booksOf(db, account)).toEqual(await booksOf(there.db, account))
  const again = await claimed(db, running.model)
  await begin(lifecycleOn(db), [again])
  await settle(lifecycleOn(db), [{ ...again, verb: 'succeed', output: '1', files: [] }])
  expect(await booksOf(db, account)).toEqual({
    balance: 70,
    entered: 70,
    held: 0,
    holds: 0,
    charged: 30,
    charges: 30,
  })
  await db.close()
})
