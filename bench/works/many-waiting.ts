import { ensureFirstAccount } from '@millrace/accounts/accounts'
import { createKeyRing } from '@millrace/accounts/api-keys'
import type { Database } from '@millrace/database/connect'
import { connect } from '@millrace/database/connect'
import { migrate } from '@millrace/database/migrate'
import { newApiKey } from '@millrace/keys/api-key'
import { claim } from '@millrace/lifecycle/claim'
import { settle } from '@millrace/lifecycle/settle'
import { addRows, fill } from '../fill.ts'
import type { Row, Work } from '../work.ts'

/** Claims of 50, each followed by as many new ones, so that their number stays. Only the claims are timed. */
export const manyWaiting: Work = {
  name: 'waiting',
  title: 'Claimed a second, 50 at a time, by how many wait',
  columns: { rate: 'runs/s' },
  rows: [row('100 waiting', 100), { ...row('1,000,000 waiting', 1_000_000), once: true }],
}

function row(name: string, waiting: number): Row {
  return {
    name,
    async measure(stores) {
      const { databaseUrl, drop } = await stores.fresh()
      await migrate(databaseUrl, { partitions: 'day' })
      const db = connect({ url: databaseUrl, max: 2, name: 'bench' })
      try {
        const keys = { apiKey: newApiKey(), adminKey: newApiKey() }
        await ensureFirstAccount(db, createKeyRing('a master key of the bench, long enough'), keys)
        await fill(db, waiting, 'waiting')
        return { rate: await claimRate(db) }
      } finally {
        await db.close()
        await drop()
      }
    },
  }
}

async function claimRate(db: Database): Promise<number> {
  const lifecycle = { db, links: { publicUrl: '', file: () => '' } }
  let claimed = 0
  let seconds = 0
  for (let turn = 0; turn < 60; turn++) {
    const begun = performance.now()
    const claims = await claim(lifecycle, {
      model: 'noop',
      limit: 50,
      worker: 'bench',
      leaseSeconds: 60,
      warm: true,
    })
    if (turn >= 10) {
      seconds += (performance.now() - begun) / 1000
      claimed += claims.length
    }
    await settle(
      lifecycle,
      claims.map(({ id, attempt }) => ({ id, attempt, verb: 'succeed', output: '{}', files: [] })),
    )
    await addRows(db, claims.length, 'waiting')
  }
  return claimed / seconds
}
