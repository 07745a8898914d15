import { randomBytes } from 'node:crypto'
import type { Database } from '@millrace/database/connect'
import { describe, type TestContext, test } from 'vitest'
import { freshDatabase } from './harness/database.ts'
import { freshDataDir, runStandalone, type Standalone } from './harness/standalone.ts'
import { until } from './harness/wait.ts'

describe.concurrent('npm start is stopped while a model runs', () => {
  test('by default what outlasts the drain is handed back, which counts as no crash', async ({
    expect,
    onTestFinished,
  }) => {
    const { db, standalone } = await givenLongRun(onTestFinished)

    standalone.signal('SIGTERM')
    expect(await standalone.exited).toBe(0)

    expect(await runsOf(db)).toEqual([{ attempt: 1, worker: null, crashes: 0 }])
    expect(standalone.shown()).not.toContain('go to the next worker')
  }, 120_000)

  test('twice: the worker is killed, and its run is free at once, one crash poorer', async ({
    expect,
    onTestFinished,
  }) => {
    const { db, standalone } = await givenLongRun(onTestFinished)

    let exited = false
    void standalone.exited.then(() => {
      exited = true
    })
    // The same press arrives several times; one a second later is another.
    await until(() => exited || standalone.signal('SIGTERM'), { within: 60_000, what: 'the end' })

    expect(await runsOf(db)).toEqual([{ attempt: 1, worker: null, crashes: 1 }])
    expect(standalone.shown()).toContain('1 unfinished predictions go to the next worker at once')
  }, 90_000)
})

/** All of it on a database that is still there when it has stopped, and a model at work for ten minutes. */
async function givenLongRun(
  onTestFinished: TestContext['onTestFinished'],
): Promise<{ db: Database; standalone: Standalone }> {
  const { db, url, drop } = await freshDatabase()
  onTestFinished(drop)
  const dataDir = await freshDataDir()
  onTestFinished(() => dataDir.remove())
  const masterKey = randomBytes(32).toString('base64url')
  const standalone = await runStandalone(dataDir.path, { DATABASE_URL: url, MASTER_KEY: masterKey })
  onTestFinished(async () => {
    standalone.signal('SIGKILL')
    await standalone.exited
  })
  await standalone.untilReady()
  const reply = await fetch(`${standalone.url}/v1/predictions`, {
    method: 'POST',
    headers: { 'x-api-key': await dataDir.read('api-key'), 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'echo', input: { delay_ms: 600_000 } }),
  })
  if (reply.status !== 201) throw new Error(`the create was answered ${reply.status}`)
  await until(async () => (await db.pool.query('select from runs where run_by is not null')).rowCount === 1, {
    what: 'the run to begin',
  })
  return { db, standalone }
}

async function runsOf(db: Database): Promise<unknown[]> {
  return (await db.pool.query('select attempt, worker, crashes from runs')).rows
}
