import { Logger, makeWorkerUtils, run } from 'graphile-worker'
import { PgBoss } from 'pg-boss'
import { type Contender, callAtOnce, concurrency } from '../contender.ts'

/** graphile-worker in one process, with its batching switched on as its guide on performance says. */
export const graphileWorker: Contender = {
  name: 'graphile-worker',
  async start(stores) {
    const { databaseUrl: connectionString, drop } = await stores.fresh()
    const utils = await makeWorkerUtils({ connectionString, maxPoolSize: 20, logger })
    await utils.migrate()
    let done = 0
    const runner = await run({
      connectionString,
      maxPoolSize: concurrency + 2,
      concurrency,
      noHandleSignals: true,
      logger,
      taskList: { run: async () => void done++ },
      preset: { worker: { localQueue: { size: concurrency + 1 }, completeJobBatchDelay: 0 } },
    })
    return {
      load: (count) => callAtOnce(count, () => utils.addJob('run', job)),
      done: async () => done,
      async stop() {
        await runner.stop()
        await utils.release()
        await drop()
      },
    }
  },
}

/** pg-boss in one process. It polls twice a second at most, so a poll takes as many as it may. */
export const pgBoss: Contender = {
  name: 'pg-boss',
  async start(stores) {
    const { databaseUrl: connectionString, drop } = await stores.fresh()
    const boss = new PgBoss({ connectionString, max: 20 })
    boss.on('error', (error) => console.error(error))
    await boss.start()
    await boss.createQueue('run')
    let done = 0
    await boss.work('run', { batchSize: 500, pollingIntervalSeconds: 0.5 }, async (jobs) => {
      done += jobs.length
    })
    return {
      load: (count) => callAtOnce(count, () => boss.send('run', job)),
      done: async () => done,
      async stop() {
        await boss.stop({ graceful: false })
        await drop()
      },
    }
  },
}

/** It tells of every job otherwise. */
const logger = new Logger(() => (level, message) => {
  if (level === 'error' || level === 'warning') console.error(`graphile-worker: ${message}`)
})

const job = { model: 'noop', input: { prompt: 'nothing much' } }
