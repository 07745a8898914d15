import { rm } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { createBatcher } from '@millrace/database/batch'
import { keepClock, measureClock } from '@millrace/database/clock'
import { connect, type Database, plannedOnce } from '@millrace/database/connect'
import { assertMigrated } from '@millrace/database/migrations'
import { watchHosts } from '@millrace/hosts/host-watch'
import { deriveKey, deriveKeys } from '@millrace/keys/derive'
import { asMicros } from '@millrace/ledger/micro'
import { begin } from '@millrace/lifecycle/begin'
import { appendEvents } from '@millrace/lifecycle/events'
import { keepJobs } from '@millrace/lifecycle/keep-jobs'
import type { Lifecycle } from '@millrace/lifecycle/lifecycle'
import { settle } from '@millrace/lifecycle/settle'
import { createGuard } from '@millrace/outbound/guard'
import type { Log } from '@millrace/process/log'
import { type Bell, openQueue, type Queue } from '@millrace/queue/open-queue'
import { createFileUrls } from '@millrace/storage/file-urls'
import { openStore } from '@millrace/storage/store'
import { adoptRenamed } from './adopt-renamed.ts'
import { announce } from './announce.ts'
import { type Claimer, claimRuns } from './claim-runs.ts'
import type { Config } from './config.ts'
import { createEventBuffer } from './event-buffer.ts'
import { hearHosts } from './host-callbacks.ts'
import { openInferenceRuns } from './inference-runs.ts'
import { createLease } from './lease.ts'
import { outlast } from './outlast.ts'
import { performAndReport } from './report-run.ts'
import { createRunTimes } from './run-times.ts'
import { serveModels } from './serve-models.ts'
import { watchClaims } from './watch-claims.ts'
import { openWorkFolder } from './work-folder.ts'
import type { Worker } from './worker.ts'

/** Opens everything, then claims what waits, and from then on what the bells say. */
export async function startWorker(config: Config, log: Log): Promise<RunningWorker> {
  const worker = await openWorker(config, log)
  const { lifecycle, queue, lease, models } = worker
  const { db } = lifecycle
  await outlast(log, () => assertMigrated(db.pool))
  await worker.store.check()
  await outlast(log, () => measureClock(db.pool))
  const claimer = claimRuns(worker, (claim, model, aim) => performAndReport(worker, claim, model, aim))
  const wakeAll = () => claimer.wake(...models.keys())
  const adopter = adoptRenamed(worker, claimer)

  /** Who has no slot left keeps the bell that filled the last one, and so leaves the next ones to other workers. */
  async function answer({ model }: Bell): Promise<void> {
    await adopter.heard(model)
    await claimer.wake(model)
    await claimer.room()
  }

  const stopAnswering = await Promise.all(config.pools.map((pool) => queue.answer(pool, answer)))
  // A broadcast that is lost is found by the next renewal.
  queue.listen('cancel', lease.cancel)
  const timers = [
    keepClock(db.pool),
    // With the queue away no bell rings.
    setInterval(() => void (queue.ready() || wakeAll()), 1_000),
  ]
  models.listen((names) => {
    void claimer.wake(...names)
    void adopter.look()
  })
  void wakeAll()
  void adopter.look()
  const watch = watchClaims(lifecycle.db, claimer, log)
  const announcing = announce(worker)

  let draining = false
  return {
    models: () => [...models.keys()],
    async ready() {
      if (draining || watch.starving()) return false
      await db.pool.query('select 1')
      return true
    },
    async drain() {
      draining = true
      claimer.stop()
      watch.stop()
      for (const timer of timers) clearInterval(timer)
      await Promise.race([Promise.all(stopAnswering.map((stop) => stop())), delay(closeMs)])
      await Promise.race([adopter.stop(), delay(closeMs)])
      await finish(worker, claimer)
      await Promise.race([announcing.stop(), delay(closeMs)])
      await Promise.race([close(worker), delay(closeMs)])
    },
  }
}

async function openWorker(config: Config, log: Log): Promise<Worker> {
  const db = connect({
    url: config.databaseUrl,
    max: 8,
    name: 'millrace-worker',
    patienceMs,
    settings: plannedOnce,
    // A worker that is stopped in the middle of a save locks its runs no longer than it may hold them.
    idleSeconds: Math.min(30, config.leaseSeconds),
  })
  const queue = openQueue({
    databaseUrl: config.databaseUrl,
    redisUrl: config.redisUrl,
    prefix: config.queuePrefix,
    name: config.name,
    onError: (err) => log.warn({ err }, 'the queue has a problem'),
  })
  const [key = Buffer.of(), ...previousKeys] = deriveKeys(
    config.masterKey,
    config.previousMasterKey,
    'file-urls',
  )
  const fileUrls = createFileUrls({
    publicUrl: config.publicUrl,
    key,
    previousKeys,
  })
  const lifecycle: Lifecycle = {
    db,
    links: {
      publicUrl: config.publicUrl,
      fileDays: config.fileDays,
      file: ({ id, name }) => fileUrls.sign(id, name, webhookUrlSeconds),
    },
    balanceWarning: asMicros(config.balanceWarningCredits),
  }
  const guard = createGuard(config.outbound)
  const models = await serveModels(config, guard, log)
  const hosts = watchHosts(db, log)
  return {
    config,
    log,
    lifecycle,
    queue,
    store: openStore(config.storageUrl),
    workFolder: await openWorkFolder(config.workDir, log),
    guard,
    fileUrls,
    sealingKeys: deriveKeys(config.masterKey, config.previousMasterKey, 'sealing'),
    models,
    hosts,
    inference: openInferenceRuns({ config, db, models, hosts, log }),
    callbacks: openHearing(config, log, db, queue),
    lease: createLease({
      databaseUrl: config.databaseUrl,
      worker: config.name,
      leaseSeconds: config.leaseSeconds,
      onError: (err) => log.warn({ err }, 'leases could not be renewed; the runs go on'),
    }),
    events: createEventBuffer({
      append: (events) => outlast(log, () => appendEvents(db, events)),
      appended: (ids) => queue.signal('changed', ids),
      onDropped: (err) => log.error({ err }, 'events of a run could not be stored'),
    }),
    runTimes: createRunTimes(),
    ...moves(lifecycle, config.name, log),
  }
}

function openHearing(config: Config, log: Log, db: Database, queue: Queue): Worker['callbacks'] {
  if (!config.callbacks) return undefined
  const { name: worker, publicUrl, masterKey } = config
  return hearHosts({ db, queue, log, worker, publicUrl, key: deriveKey(masterKey, 'callbacks') })
}

/** What the database refuses once it answers is one run's, not its neighbours'. */
function moves(
  lifecycle: Lifecycle,
  worker: string,
  log: Log,
): Pick<Worker, 'beginning' | 'settling' | 'keeping'> {
  return {
    beginning: createBatcher({
      flush: (fences) => outlast(log, () => begin(lifecycle, fences)),
      isPoison: () => true,
    }),
    settling: createBatcher({
      flush: (endings) => outlast(log, () => settle(lifecycle, endings)),
      weigh: (ending) => (ending.verb === 'succeed' ? ending.output.length : 0),
      isPoison: () => true,
    }),
    keeping: createBatcher({
      flush: (jobs) => outlast(log, () => keepJobs(lifecycle.db, worker, jobs)),
      isPoison: () => true,
    }),
  }
}

/**
 * Runs get their time to end; then they are stopped and handed back, so that another worker goes on with them. Those
 * whose host can be left at work are handed back at once.
 */
async function finish({ config, lease, log }: Worker, claimer: Claimer): Promise<void> {
  const inTime = async (seconds: number) =>
    Promise.race([claimer.idle().then(() => true), delay(seconds * 1000, false, { ref: false })])
  lease.leaveJobs()
  if (await inTime(config.drainSeconds)) return
  log.info({ runs: claimer.busy() }, 'stopping what still runs')
  lease.stopAll('drain')
  if (!(await inTime(config.cancelGraceSeconds + 5)))
    log.warn({ runs: claimer.busy() }, 'runs are left to their lease')
}

async function close(worker: Worker): Promise<void> {
  const { lease, models, inference, queue, lifecycle, workFolder, callbacks } = worker
  callbacks?.close()
  await Promise.all([models.close(), inference.close()])
  await rm(workFolder, { recursive: true, force: true, maxRetries: 3 })
  await queue.close()
  await Promise.all([lease.close(), lifecycle.db.close()])
}

const closeMs = 5_000

/** A connection without an answer for so long is dead, and its statement is repeated on another. Renewals wait less. */
const patienceMs = 10_000

/** URLs inside webhook bodies work as long as the files live. */
const webhookUrlSeconds = 7 * 86_400

export interface RunningWorker {
  /** The models it serves by now. */
  models(): string[]
  ready(): Promise<boolean>
  /** Ends in order: nothing new is claimed, what runs is finished or handed back. */
  drain(): Promise<void>
}
