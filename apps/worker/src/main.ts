import { serveHealth } from '@millrace/process/health-server'
import { createLog } from '@millrace/process/log'
import { orExit, sayAndExit } from '@millrace/process/or-exit'
import { untilSignal } from '@millrace/process/until-signal'
import { type Config, readConfig } from './config.ts'
import { startWorker } from './start-worker.ts'

await main().catch(sayAndExit)

async function main(): Promise<void> {
  const config = orExit(readConfig)
  const stopping = untilSignal({ supervised: config.supervised })
  await work(config, stopping)
  process.exit(0)
}

async function work(config: Config, stopping: Promise<string>): Promise<void> {
  const log = createLog({ name: 'worker', level: config.logLevel })
  const worker = await startWorker(config, log)
  if (config.metricsPort !== undefined) {
    await serveHealth({ port: config.metricsPort, host: config.host, ready: worker.ready, log })
  }
  log.info({ worker: config.name, pools: config.pools, models: worker.models() }, 'worker is ready')
  log.info({ reason: await stopping }, 'worker is draining')
  await worker.drain()
  log.info('worker has stopped')
}
