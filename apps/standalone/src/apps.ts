import { fileURLToPath } from 'node:url'
import { type Config, reachable } from './config.ts'
import { freePort } from './ports.ts'

/** The three processes in the order in which they are stopped, each with the environment it reads. */
export async function describeApps(config: Config, { databaseUrl, masterKey }: Found): Promise<AppProcess[]> {
  const shared = {
    ...config.inherited,
    DATABASE_URL: databaseUrl,
    MASTER_KEY: masterKey,
    PUBLIC_URL: config.publicUrl,
    STORAGE_URL: config.storageUrl,
    OUTBOUND_LOOPBACK: String(config.outboundLoopback),
    LOG_LEVEL: config.logLevel,
    WORKER_NAME: config.workerName,
    SUPERVISED: '1',
  }
  // Ports for the supervisor alone, on loopback; what it reads there it serves together on METRICS_PORT.
  const [apiHealth, workerHealth, dispatcherHealth] = [await freePort(), await freePort(), await freePort()]
  return [
    {
      name: 'api',
      main: mainOf('api'),
      env: {
        ...shared,
        HOST: config.host,
        PORT: String(config.port),
        METRICS_PORT: String(apiHealth),
        METRICS_HOST: '127.0.0.1',
      },
      drainSeconds: 30,
      readyUrl: `http://${reachable(config.host)}:${config.port}/readyz`,
      metricsUrl: `http://127.0.0.1:${apiHealth}/metrics`,
    },
    {
      name: 'worker',
      main: mainOf('worker'),
      env: { ...shared, HOST: '127.0.0.1', METRICS_PORT: String(workerHealth) },
      drainSeconds: config.drainSeconds + config.cancelGraceSeconds + closingSeconds,
      readyUrl: `http://127.0.0.1:${workerHealth}/readyz`,
      metricsUrl: `http://127.0.0.1:${workerHealth}/metrics`,
    },
    {
      name: 'dispatcher',
      main: mainOf('dispatcher'),
      env: { ...shared, HOST: '127.0.0.1', METRICS_PORT: String(dispatcherHealth) },
      drainSeconds: 30,
      readyUrl: `http://127.0.0.1:${dispatcherHealth}/readyz`,
      metricsUrl: `http://127.0.0.1:${dispatcherHealth}/metrics`,
    },
  ]
}

/** What a worker takes besides for its bells, for handing back and for closing: 15 s at most, and a busy machine's share. */
const closingSeconds = 20

function mainOf(app: AppProcess['name']): string {
  return fileURLToPath(new URL(`../../${app}/src/main.ts`, import.meta.url))
}

export interface AppProcess {
  name: 'api' | 'worker' | 'dispatcher'
  main: string
  env: Record<string, string | undefined>
  /** It is killed when its drain takes longer. */
  drainSeconds: number
  readyUrl: string
  metricsUrl: string
}

interface Found {
  databaseUrl: string
  masterKey: string
}
