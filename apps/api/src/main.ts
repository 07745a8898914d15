import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { keepClock, measureClock } from '@millrace/database/clock'
import { assertMigrated } from '@millrace/database/migrations'
import { ensurePartitions } from '@millrace/database/partitions'
import { serveHealth } from '@millrace/process/health-server'
import { createLog } from '@millrace/process/log'
import { orExit, sayAndExit } from '@millrace/process/or-exit'
import { untilSignal } from '@millrace/process/until-signal'
import { createListener } from './app.ts'
import { runBatches } from './batches/run-batches.ts'
import { closeGently, longestMs } from './close-gently.ts'
import { readConfig } from './config.ts'
import { type Context, openContext } from './context.ts'
import { createHttpServer } from './http-server.ts'
import { isReady } from './readiness.ts'

const config = orExit(readConfig)
const log = createLog({ name: 'api', level: config.LOG_LEVEL })
const context = await openContext(config, log).catch(sayAndExit)
await assertMigrated(context.db.pool).catch(sayAndExit)
await context.store.check().catch(sayAndExit)
await ensurePartitions(context.db.pool, config.PARTITIONS)
await measureClock(context.db.pool)
const clock = keepClock(context.db.pool)

const server = createHttpServer(createListener(context))
const stopped = untilSignal({ supervised: config.SUPERVISED === '1' })
server.listen(config.PORT, config.HOST)
await once(server, 'listening')
const health =
  config.METRICS_PORT === undefined
    ? undefined
    : await serveHealth({
        port: config.METRICS_PORT,
        host: config.METRICS_HOST ?? config.HOST,
        ready: () => isReady(context),
        log,
      })
const batches = runBatches(context)
log.info({ address: server.address(), queue: context.queue.kind }, 'the api listens')

/** For the last words to go out, and what is known of these calls into the activity log. */
const toTellMs = 2_000

const reason = await stopped
log.info({ reason }, 'draining')
await drain(context)
process.exit(0)

/**
 * Held waits and streams of events end at once (their clients go on elsewhere), other requests get their answer; those of
 * inference that are still at it a moment before the end are told so.
 */
async function drain({ draining, cutting }: Context): Promise<void> {
  clearInterval(clock)
  draining.abort()
  setTimeout(() => cutting.abort(), longestMs - toTellMs)
  await Promise.all([closeGently(server), batches.stop()])
  await health?.close()
  await Promise.race([context.close(), delay(5_000)])
}
