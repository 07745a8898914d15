import { connect, type Database } from '@millrace/database/connect'
import { watchHosts } from '@millrace/hosts/host-watch'
import { accept } from '@millrace/lifecycle/accept'
import { createLog } from '@millrace/process/log'
import { openQueue } from '@millrace/queue/open-queue'
import { claimRuns } from '@millrace/worker/claim-runs'
import type { Worker } from '@millrace/worker/worker'
import { expect, onTestFinished, test } from 'vitest'
import { startProxy } from './faults/tcp-proxy.ts'
import { draft, lifecycleOn } from './given-predictions.ts'
import { freshDatabase } from './harness/database.ts'
import { until } from './harness/wait.ts'

test('a run that one claim lost and another of the same worker took begins once', async () => {
  const { db, far, proxy, claimer, begun, create } = await given()
  const first = await create()
  await claimer.wake(model)
  await until(() => begun.has(first), { what: 'the first run to begin' })

  // The second claim is done but for its commit, which never arrives, and nobody tells the worker.
  const second = await create()
  const cut = Promise.withResolvers<number>()
  proxy.before(
    (message) => message.includes('commit'),
    () => cut.resolve(proxy.cut('half-open')),
  )
  void claimer.wake(model)
  await cut.promise
  await until(() => isFree(db, second), { what: 'the second to be free again' })

  // A slot comes free, and another claim takes it.
  begun.get(first)?.end()
  await until(() => claimer.busy() === 1, { what: 'the first run to end' })
  await claimer.wake(model)
  await until(() => begun.has(second), { what: 'the second run to begin' })
  expect(claimer.busy()).toBe(2)

  // Now the claim that was lost hears of it, and asks what is its own.
  proxy.cut('close')
  await until(() => claimer.busy() === 1 || begun.get(second)?.times === 2, {
    what: 'the lost claim to be settled',
  })

  expect([...begun]).toMatchObject([
    [first, { times: 1 }],
    [second, { times: 1 }],
  ])
  expect(await holderOf(far, second)).toEqual({ worker: 'a-worker', attempt: 1 })
  for (const run of begun.values()) run.end()
  await claimer.idle()
})

/** What claims for a worker of two slots, over a network that can fail. It begins runs that last until they are told. */
async function given() {
  const { db, url, drop } = await freshDatabase()
  const store = new URL(url)
  const proxy = await startProxy({ host: store.hostname, port: Number(store.port) })
  store.port = `${proxy.port}`
  const far = connect({ url: store.href, name: 'far away' })
  const queue = openQueue({ databaseUrl: url, name: 'test' })
  onTestFinished(async () => {
    await queue.close()
    await far.close()
    await proxy.close()
    await drop()
  })
  const begun = new Map<string, Begun>()
  const log = createLog({ name: 'test', level: 'silent' })
  // All that claiming needs of a worker.
  const worker = {
    config: { name: 'a-worker', concurrency: 2, leaseSeconds: 60 },
    lifecycle: lifecycleOn(far),
    models: new Map([
      [
        model,
        {
          description: { namespace: model, concurrency: 2, pool: 'default', fallbacks: [] },
          provider: { warm: () => false },
          enter: () => () => undefined,
          aliases: [],
          places: [],
        },
      ],
    ]),
    queue,
    log,
    hosts: watchHosts(far, log),
  } as unknown as Worker
  const claimer = claimRuns(worker, async ({ id }) => {
    const { promise, resolve } = Promise.withResolvers<void>()
    begun.set(id, { times: (begun.get(id)?.times ?? 0) + 1, end: resolve })
    await promise
  })
  const create = async () => {
    const made = draft({ model })
    await accept(lifecycleOn(db), [made])
    return made.id
  }
  return { db, far, proxy, claimer, begun, create }
}

const model = 'a-model'

async function isFree({ pool }: Database, id: string): Promise<boolean> {
  const { rows } = await pool.query(
    'select from runs where prediction_id = $1 and worker is null for update skip locked',
    [id],
  )
  return rows.length === 1
}

async function holderOf({ pool }: Database, id: string): Promise<unknown> {
  const { rows } = await pool.query('select worker, attempt from runs where prediction_id = $1', [id])
  return rows[0]
}

interface Begun {
  times: number
  end(): void
}
