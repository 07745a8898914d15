import type { Database } from '@millrace/database/connect'
import { claim } from '@millrace/lifecycle/claim'
import { settle } from '@millrace/lifecycle/settle'
import { addRows, fill } from '../fill.ts'
import { startMillrace } from '../millrace.ts'
import { type Row, using, type Work } from '../work.ts'

/**
 * Claims of 50, each followed by as many new ones, so that their number stays. Only the claims are timed. A dispatcher
 * runs beside them, since its sweeps look through all that wait.
 */
export const manyWaiting: Work = {
  name: 'waiting',
  title: 'Claimed a second, 50 at a time, by how many wait, while a dispatcher sweeps',
  columns: { rate: 'runs/s' },
  rows: [row('100 waiting', 100), { ...row('1,000,000 waiting', 1_000_000), once: true }],
}

function row(name: string, waiting: number): Row {
  return {
    name,
    measure: async (stores, { seconds }) =>
      using(
        await startMillrace(stores, {
          onRedis: true,
          apps: ['dispatcher'],
          partitions: 'day',
          prepare: (db) => fill(db, waiting, 'waiting'),
        }),
        async ({ db }) => {
          await claimRate(db, 2)
          return { rate: await claimRate(db, seconds) }
        },
      ),
  }
}

async function claimRate(db: Database, seconds: number): Promise<number> {
  const lifecycle = { db, links: { publicUrl: '', file: () => '' } }
  const begun = performance.now()
  let claimed = 0
  let spentMs = 0
  while (performance.now() - begun < seconds * 1000) {
    const left = performance.now()
    const claims = await claim(lifecycle, {
      model: 'noop',
      limit: 50,
      worker: 'bench',
      leaseSeconds: 60,
      warm: true,
    })
    spentMs += performance.now() - left
    claimed += claims.length
    await settle(
      lifecycle,
      claims.map(({ id, attempt }) => ({ id, attempt, verb: 'succeed', output: '{}', files: [] })),
    )
    await addRows(db, claims.length, 'waiting', '1 second')
  }
  return claimed / (spentMs / 1000)
}
