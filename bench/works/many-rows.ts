import type { Database } from '@millrace/database/connect'
import { partitionsBefore, removePartition } from '@millrace/database/partitions'
import { fill, patiently } from '../fill.ts'
import { repeated, timeOf } from '../latencies.ts'
import { type Millrace, startMillrace } from '../millrace.ts'
import { call, createBody } from '../requests.ts'
import { type Figures, type Row, using, type Work } from '../work.ts'

/** Predictions of the last 30 days in daily partitions, all of the account that asks. */
export const manyRows: Work = {
  name: 'rows',
  title: 'What a request costs by how many predictions there are, in milliseconds (medians, one at a time)',
  columns: {
    create: 'create',
    get: 'get',
    first: 'first page',
    deep: 'page half-way',
    drop: 'dropping a day',
  },
  rows: [row('1,000 predictions', () => 1_000), { ...row('--rows predictions', (rows) => rows), once: true }],
}

function row(name: string, countOf: (rows: number) => number): Row {
  return {
    name,
    measure: async (stores, { rows }) =>
      using(
        await startMillrace(stores, {
          onRedis: true,
          apps: ['api'],
          partitions: 'day',
          prepare: (db) => fill(db, countOf(rows), 'ended'),
        }),
        costs,
      ),
  }
}

async function costs(service: Millrace): Promise<Figures> {
  const [newest] = await page(service, '')
  const before = new Date(Date.now() - 15 * 86_400_000).toISOString()
  const halfWay = (
    await (call(service, 'GET', `/v1/predictions?per_page=50&to=${before}`) as Promise<Listed>)
  ).pagination.next_cursor
  const figures = {
    create: await median(() => call(service, 'POST', '/v1/predictions', createBody())),
    get: await median(() => call(service, 'GET', `/v1/predictions/${newest?.id}`)),
    first: await median(() => page(service, '')),
    deep: await median(() => page(service, `cursor=${encodeURIComponent(halfWay ?? '')}`)),
  }
  return { ...figures, drop: await dropOldestDay(service.db) }
}

async function page(service: Millrace, query: string): Promise<Listed['data']> {
  return ((await call(service, 'GET', `/v1/predictions?per_page=50&${query}`)) as Listed).data
}

async function median(act: () => Promise<unknown>): Promise<number> {
  return (await repeated({ times: 300, warmUp: 100 }, () => timeOf(act))).p50
}

/** Once the purge has taken its rows. Milliseconds for all tables of the day. */
async function dropOldestDay(db: Database): Promise<number> {
  const { pool } = db
  const partitions = await partitionsBefore(pool, new Date(Date.now() - 28 * 86_400_000))
  const oldest = partitions.find(({ table }) => table === 'predictions')
  if (!oldest) throw new Error('there is no day to drop')
  await patiently(db, async (client) => {
    await client.query(`delete from ${oldest.name}`)
    await client.query(`vacuum ${oldest.name}`)
  })
  const begun = performance.now()
  for (const one of partitions.filter(({ from }) => from.getTime() === oldest.from.getTime())) {
    if (!(await removePartition(pool, one))) throw new Error(`${one.name} is not empty`)
  }
  return performance.now() - begun
}

interface Listed {
  data: { id: string }[]
  pagination: { next_cursor: string | null }
}
