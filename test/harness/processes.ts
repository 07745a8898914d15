import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { nodeFlags } from '@millrace/process/node-flags'
import { freePort } from '@millrace/standalone/ports'
import { until } from './wait.ts'

/**
 * Starts an app as the process it is in production and waits until its /readyz answers. Only the given environment
 * reaches it. When the test run dies, its stdin closes and it drains. `checkout` may hold another version's code;
 * `onSpawn` hears the pid before it is ready.
 */
export async function startProcess(
  app: App,
  environment: Environment,
  checkout = thisCheckout,
  onSpawn: (pid: number) => void = () => {},
): Promise<RunningProcess> {
  const metricsPort = environment.METRICS_PORT ?? String(await freePort())
  const main = join(checkout, `apps/${app}/src/main.ts`)
  const child = spawn(process.execPath, [...nodeFlags, main], {
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE,
      HOST: '127.0.0.1',
      METRICS_PORT: metricsPort,
      SUPERVISED: '1',
      ...environment,
    },
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
  })
  alive.add(child)
  if (child.pid !== undefined) onSpawn(child.pid)
  const exited = once(child, 'exit').finally(() => alive.delete(child))
  let log = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      log += text
    })
  }
  const running: RunningProcess = {
    app,
    pid: child.pid ?? 0,
    healthUrl: `http://127.0.0.1:${metricsPort}`,
    log: () => log,
    ended: () => hasEnded(child),
    exited: exited.then(() => child.signalCode ?? `code ${child.exitCode}`),
    stop: () => stop(child, exited, () => log),
    kill: () => kill(child, exited),
    signal: (signal) => void child.kill(signal),
  }
  await untilReady(running)
  return running
}

const thisCheckout = fileURLToPath(new URL('../..', import.meta.url))
const alive = new Set<ChildProcess>()

// A test file that ends without stopping what it started must not leave it behind.
process.once('exit', () => {
  for (const child of alive) child.kill('SIGKILL')
})

async function untilReady(running: RunningProcess): Promise<void> {
  try {
    const state = await until(
      async () => {
        if (running.ended()) return 'ended'
        const { ok } = await fetch(`${running.healthUrl}/readyz`)
        return ok && 'ready'
      },
      { within: 30_000, what: `the ${running.app} to be ready` },
    )
    if (state === 'ended') throw new Error(`The ${running.app} ended before it was ready`)
  } catch (error) {
    await running.kill()
    throw new Error(`${error instanceof Error ? error.message : error}. Its log:\n${running.log()}`, {
      cause: error,
    })
  }
}

async function stop(child: ChildProcess, exited: Promise<unknown>, log: () => string): Promise<number> {
  if (!hasEnded(child)) child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), 20_000)
  await exited
  clearTimeout(timer)
  if (child.exitCode === null)
    throw new Error(`It did not stop in order (${child.signalCode}). Its log:\n${log()}`)
  return child.exitCode
}

async function kill(child: ChildProcess, exited: Promise<unknown>): Promise<void> {
  if (!hasEnded(child)) child.kill('SIGKILL')
  await exited
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null
}

export type App = 'api' | 'worker' | 'dispatcher'

export type Environment = Record<string, string>

export interface RunningProcess {
  app: App
  pid: number
  /** GET /livez, /readyz, /metrics. */
  healthUrl: string
  /** All it has written so far, for failure messages. */
  log(): string
  ended(): boolean
  /** How it ended: `code 0`, `SIGKILL`. */
  exited: Promise<string>
  /** SIGTERM, then its exit code. Throws when it had to be killed. */
  stop(): Promise<number>
  /** kill -9. */
  kill(): Promise<void>
  /** SIGSTOP and SIGCONT, for a worker that pauses. */
  signal(signal: NodeJS.Signals): void
}
