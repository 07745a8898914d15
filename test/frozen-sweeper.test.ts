import { tmpdir } from 'node:os'
import { pathToFileURL } from 'node:url'
import { once, type Turns } from '@millrace/dispatcher/sweep/sweep'
import { watchPresence } from '@millrace/dispatcher/sweep/watch-presence'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type FaultProxy, startProxy } from './faults/tcp-proxy.ts'
import { masterKey } from './given-webhooks.ts'
import { type FreshDatabase, freshDatabase } from './harness/database.ts'
import { type RunningProcess, startProcess } from './harness/processes.ts'
import { until } from './harness/wait.ts'

let database: FreshDatabase
let proxy: FaultProxy
let dispatcher: RunningProcess

beforeEach(async () => {
  database = await freshDatabase()
  const url = new URL(database.url)
  proxy = await startProxy({ host: url.hostname, port: Number(url.port) })
  url.port = `${proxy.port}`
  dispatcher = await startProcess('dispatcher', {
    DATABASE_URL: url.href,
    MASTER_KEY: masterKey,
    PUBLIC_URL: 'http://127.0.0.1:3000',
    STORAGE_URL: pathToFileURL(tmpdir()).href,
    SWEEP_SECONDS: '0.1',
    LEASE_SECONDS: '1',
  })
})

afterEach(async () => {
  await dispatcher.kill()
  await proxy.close()
  await database.drop()
})

test.each([
  ['frozen', () => dispatcher.signal('SIGSTOP')],
  ['cut off without a word', () => proxy.set('black-hole')],
])('a dispatcher that is %s in the middle of a sweep keeps no other from it', async (_how, strike) => {
  const struck = new Promise<void>((resolve) => {
    proxy.before(
      (message) => message.includes('\0ring-lost\0'),
      () => {
        strike()
        resolve()
      },
    )
  })
  await struck

  let swept = 0
  const sweep = { name: 'ring-lost', everySeconds: 1, run: async () => ({ swept: ++swept }) }
  expect(await once(turns(15), sweep)).toBeUndefined()
  await until(() => once(turns(15), sweep), { what: 'another to sweep' })
})

test('a sweep that takes longer than a lease keeps its lock', async () => {
  let others = 0
  const other = { name: 'long', everySeconds: 1, run: async () => ({ others: ++others }) }
  const long = {
    name: 'long',
    everySeconds: 1,
    async run() {
      const begun = performance.now()
      const tries = async () => performance.now() - begun > 1_000 || (await once(turns(0.2), other))
      await until(tries, { what: 'the other to try for a second' })
      return { done: 1 }
    },
  }

  expect(await once(turns(0.2), long)).toEqual({ done: 1 })
  expect(others).toBe(0)
})

function turns(leaseSeconds: number): Turns {
  return { db: database.db, leaseSeconds, presence: watchPresence({ leaseSeconds, everySeconds: 1 }) }
}
