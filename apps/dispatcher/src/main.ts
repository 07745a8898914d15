import { setTimeout as delay } from 'node:timers/promises'
import { endLostRequests } from '@millrace/activity/end-lost'
import { keepClock, measureClock } from '@millrace/database/clock'
import { connect, plannedOnce } from '@millrace/database/connect'
import { assertMigrated } from '@millrace/database/migrations'
import { ensurePartitions } from '@millrace/database/partitions'
import { deriveKeys } from '@millrace/keys/derive'
import { asMicros } from '@millrace/ledger/micro'
import { releaseLostCalls } from '@millrace/ledger/release-lost-calls'
import type { Lifecycle } from '@millrace/lifecycle/lifecycle'
import { createGuard } from '@millrace/outbound/guard'
import { serveHealth } from '@millrace/process/health-server'
import { createLog } from '@millrace/process/log'
import { orExit, sayAndExit } from '@millrace/process/or-exit'
import { untilSignal } from '@millrace/process/until-signal'
import { openQueue, type Queue } from '@millrace/queue/open-queue'
import { createFileUrls } from '@millrace/storage/file-urls'
import { type FileStore, openStore } from '@millrace/storage/store'
import { claimSettings } from './claim-due.ts'
import { type Config, readConfig } from './config.ts'
import { type Dispatch, startDispatch } from './dispatch.ts'
import { createCount } from './sweep/count-ended.ts'
import { endLate } from './sweep/end-overdue.ts'
import { postNotedEvents } from './sweep/post-account-events.ts'
import { createProlonging } from './sweep/prolong-starts.ts'
import { createPurge } from './sweep/purge.ts'
import { releaseDead } from './sweep/release-expired.ts'
import { removeLeftovers } from './sweep/remove-leftovers.ts'
import { createStrayRemoval } from './sweep/remove-strays.ts'
import { ringLost } from './sweep/ring-lost.ts'
import { startDue } from './sweep/start-due.ts'
import { type Sweep, startSweeps } from './sweep/sweep.ts'
import { watchUnserved } from './sweep/watch-unserved.ts'

const config = orExit(readConfig)
const log = createLog({ name: 'dispatcher', level: config.logLevel })
const stopped = untilSignal({ supervised: config.supervised })
const database = { url: config.databaseUrl, name: 'millrace-dispatcher', patienceMs: 20_000 }
const db = connect({ ...database, max: 6 })
const sending = connect({ ...database, max: 10, settings: plannedOnce })
const claiming = connect({ ...database, max: 1, settings: claimSettings })
const queue = openQueue({
  databaseUrl: config.databaseUrl,
  redisUrl: config.redisUrl,
  prefix: config.queuePrefix,
  name: config.name,
  onError: (error) => log.warn({ err: error }, 'the queue had a problem'),
})
// File URLs inside webhook bodies live 7 days.
const webhookFileSeconds = 7 * 86_400
let state: 'starting' | 'dispatching' | 'draining' = 'starting'

const health =
  config.metricsPort === undefined
    ? undefined
    : await serveHealth({ port: config.metricsPort, host: config.host, ready, log })

await assertMigrated(db.pool).catch(sayAndExit)
const store = orExit(() => openStore(config.storageUrl))
await store.check().catch(sayAndExit)
await measureClock(db.pool)
const clock = keepClock(db.pool)

const dispatch = startDispatch({
  db: sending,
  claiming,
  log,
  guard: createGuard(config.outbound),
  sealingKeys: deriveKeys(config.masterKey, config.previousMasterKey, 'sealing'),
  slots: config.slots,
  timeoutMs: config.timeoutSeconds * 1000,
})
queue.listen('due', () => dispatch.wake())
const sweeps = sweepsOf(config, store, queue, dispatch)
// Each holds a connection for its turn and works on others. Were they of one pool, enough turns that begin together, as
// at the start, would leave none to work on.
const turns = connect({ ...database, max: sweeps.length })
const sweeping = startSweeps({ db: turns, log, leaseSeconds: config.leaseSeconds }, sweeps)
state = 'dispatching'
log.info({ queue: queue.kind, slots: config.slots }, 'dispatching')

const reason = await stopped
log.info({ reason }, 'draining')
state = 'draining'
clearInterval(clock)
// What cannot be reached does not hold the process: everything is found again by whoever comes next.
await Promise.race([Promise.all([dispatch.stop(10_000), sweeping.stop()]), delay(15_000)])
await Promise.race([close(), delay(4_000)])
process.exit(0)

async function close(): Promise<void> {
  await queue.close()
  await health?.close()
  await Promise.all([db, sending, claiming, turns].map((pool) => pool.close()))
}

async function ready(): Promise<boolean> {
  if (state !== 'dispatching') return false
  await db.pool.query('select 1')
  return true
}

function sweepsOf(settings: Config, store: FileStore, bells: Queue, dispatcher: Dispatch): Sweep[] {
  const { sweepSeconds, leaseSeconds, cancelGraceSeconds, publicUrl, retention } = settings
  const [key = Buffer.of()] = deriveKeys(settings.masterKey, undefined, 'file-urls')
  const urls = createFileUrls({ publicUrl, key })
  const lifecycle: Lifecycle = {
    db,
    links: {
      publicUrl,
      fileDays: retention.fileDays,
      file: ({ id, name }) => urls.sign(id, name, webhookFileSeconds),
    },
    balanceWarning: asMicros(settings.balanceWarningCredits),
  }
  const changed = (ids: string[]) => {
    bells.signal('changed', ids)
    dispatcher.wake()
  }
  const unserved = watchUnserved(db, log)
  return [
    { name: 'start-due', everySeconds: sweepSeconds, run: () => startDue(db, bells) },
    { name: 'ring-lost', everySeconds: sweepSeconds, run: () => ringLost(db, bells, unserved) },
    {
      name: 'release-expired',
      everySeconds: sweepSeconds,
      run: (presence) => releaseDead(db, bells, leaseSeconds, presence),
    },
    { name: 'prolong-starts', everySeconds: sweepSeconds, run: createProlonging(db, leaseSeconds) },
    {
      name: 'end-overdue',
      everySeconds: sweepSeconds,
      run: (presence) =>
        endLate(lifecycle, { graceSeconds: cancelGraceSeconds, leaseSeconds, changed }, presence),
    },
    {
      name: 'account-events',
      everySeconds: sweepSeconds,
      run: () => postNotedEvents(db, dispatcher.wake),
    },
    { name: 'purge', everySeconds: sweepSeconds, run: createPurge({ db, store, retention }) },
    // A thousand parts: all of them in less than a day.
    { name: 'strays', everySeconds: 60, run: createStrayRemoval({ db, store, retention }) },
    {
      name: 'lost-requests',
      everySeconds: 30,
      run: async () => {
        const lost = await endLostRequests(db)
        return lost > 0 ? { lost } : undefined
      },
    },
    {
      name: 'lost-calls',
      everySeconds: 30,
      run: async ({ since }) => {
        const released = await releaseLostCalls(db, { since })
        return released > 0 ? { released } : undefined
      },
    },
    { name: 'usage', everySeconds: 5, run: createCount(db) },
    { name: 'leftovers', everySeconds: 60, run: () => removeLeftovers(db) },
    {
      name: 'partitions',
      everySeconds: 3600,
      run: async () => {
        await ensurePartitions(db.pool, settings.partitions)
        return undefined
      },
    },
  ]
}
