import { createHash } from 'node:crypto'
import { connect } from '@millrace/database/connect'
import { migrate } from '@millrace/database/migrate'
import { migrationNames, readMigration } from '@millrace/database/migrations'
import { describe, expect, onTestFinished, test } from 'vitest'
import { contractionsIn } from './contractions.ts'
import { emptyDatabase, freshDatabase } from './harness/database.ts'
import { startProcess } from './harness/processes.ts'
import { until } from './harness/wait.ts'

test('two migrations at once make the schema once', async () => {
  const { url, drop } = await emptyDatabase()
  onTestFinished(drop)

  const applied = await Promise.all([migrate(url), migrate(url)])

  expect(applied.flat()).toEqual(await migrationNames())
})

test('a migration of a table in use lets go of it, so that nobody waits behind it, and comes back', async () => {
  const { url, drop } = await emptyDatabase()
  onTestFinished(drop)
  const db = connect({ url, name: 'millrace-test' })
  onTestFinished(() => db.close())
  const user = await db.pool.connect()
  await user.query('create table migrations (name text primary key, applied_at timestamptz default now())')
  await user.query('begin; lock table migrations in share mode')

  const migrating = migrate(url)

  await until(
    async () => {
      const { rows } = await db.pool.query(
        `select from pg_stat_activity
         where datname = current_database() and application_name = 'millrace-migrate'
           and state = 'idle' and query = 'rollback'`,
      )
      return rows.length
    },
    { what: 'the migration to let go' },
  )
  await user.query('commit')
  user.release()
  expect(await migrating).toEqual(await migrationNames())
})

test.for(['api', 'worker', 'dispatcher'] as const)(
  'the %s of a newer version on an older schema ends and says what to do',
  async (app) => {
    const { url, db, drop } = await freshDatabase()
    onTestFinished(drop)
    const newest = (await migrationNames()).at(-1)
    await db.pool.query('delete from migrations where name = $1', [newest])

    const started = startProcess(app, {
      DATABASE_URL: url,
      MASTER_KEY: 'k'.repeat(32),
      STORAGE_URL: 'file:///nowhere',
      PUBLIC_URL: 'http://127.0.0.1:3000',
      ...(app === 'api' && { PORT: '1' }),
    })

    await expect(started).rejects.toThrow(`it lacks ${newest}. Run this release's \`npm run migrate\``)
  },
)

describe('expand and contract', () => {
  test('a released migration is never edited: databases have it as it was', async () => {
    for (const [name, digest] of Object.entries(released)) {
      const found = createHash('sha256')
        .update(await readMigration(name))
        .digest('hex')
      expect(found, `${name} is released; change the schema by a new file`).toBe(digest)
    }
  })

  test('no migration after the first takes away what the previous version uses', async () => {
    const [, ...later] = await migrationNames()
    for (const name of later) expect(contractionsIn(await readMigration(name)), name).toEqual([])
  })

  test.for([
    'drop table outcomes',
    'drop function uuid_floor',
    'alter table runs rename to jobs',
    'alter table runs rename column model to slug',
    'alter table runs drop column progress',
    'alter table runs drop progress',
    'alter table runs alter column pool set not null',
    'alter table runs alter column attempt drop default',
    'alter table runs alter attempt type bigint',
    'alter table runs add column weight integer not null',
    'alter table runs add column a integer default 1, drop column progress',
    'alter table runs add constraint positive check (attempt > 0)',
    'alter table runs add unique (worker)',
    'alter table runs add column owner uuid references accounts',
    'create unique index runs_worker on runs (worker)',
    'create trigger runs_watch before update on runs for each row execute function watch()',
    'delete from outcomes',
    "insert into accounts values ('-- unused since 0.1.0'); drop table outcomes",
  ])('refused: %s', (statement) => {
    expect(contractionsIn(`${statement};`)).not.toEqual([])
  })

  test.for([
    'alter table runs add column weight integer',
    "alter table runs add column kind text not null default 'plain'",
    'alter table runs alter column pool drop not null',
    'alter table runs drop constraint positive',
    'create index runs_pool on runs (pool)',
    'create table credits (id uuid primary key, account_id uuid not null references accounts); create unique index credits_account on credits (account_id)',
    "comment on table runs is 'we drop table rows; delete from it'",
    'create function f() returns void language sql as $$ delete from outcomes; drop table runs $$',
    '-- unused since 0.2.0\nalter table runs drop column progress',
  ])('allowed: %s', (statement) => {
    expect(contractionsIn(`${statement};`)).toEqual([])
  })
})

/** What databases out there have been made with. */
const released = {
  '0001_predictions.sql': '281834c6b4be366178c702b0b84d3be0bd6a4d050e20717308241f96c87f00ef',
}
