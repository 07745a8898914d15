import { setTimeout as delay } from 'node:timers/promises'
import { type App, type Environment, type RunningProcess, startProcess } from '../harness/processes.ts'
import { until } from '../harness/wait.ts'
import type { History } from './history.ts'
import type { Leash } from './leash.ts'
import { type FaultProxy, startProxy } from './tcp-proxy.ts'

/**
 * A place for one process that is always filled, as an orchestrator does it: whoever ends is replaced by one with the
 * same name and settings. Each slot reaches its stores through proxies of its own.
 */
export async function openSlot(options: SlotOptions): Promise<Slot> {
  const { app, name, history, leash } = options
  const postgres = await startProxy(addressOf(options.postgresUrl))
  const redis = options.redisUrl ? await startProxy(addressOf(options.redisUrl)) : undefined
  const environment: Environment = {
    ...options.environment,
    DATABASE_URL: through(postgres, options.postgresUrl),
    ...(redis && options.redisUrl && { REDIS_URL: through(redis, options.redisUrl) }),
  }
  const logs: string[] = []
  const meant = new WeakSet<RunningProcess>()
  let closing = false
  let held: Promise<void> | undefined
  let running: RunningProcess | undefined
  let upSince: number | undefined
  let unmeantExits = 0
  let more: Environment = {}

  async function fill(): Promise<void> {
    while (!closing) {
      await held
      let pid = 0
      const hold = (spawned: number) => {
        pid = spawned
        leash.hold(pid)
      }
      const settings = { ...environment, ...more }
      const started = await startProcess(app, settings, undefined, hold).catch((error: Error) => {
        logs.push(error.message)
        return undefined
      })
      if (started === undefined) {
        leash.free(pid)
        await delay(100)
        continue
      }
      running = started
      upSince = performance.now()
      const how = await started.exited
      leash.free(pid)
      running = undefined
      upSince = undefined
      logs.push(started.log())
      const wasMeant = meant.has(started) || closing
      if (!wasMeant) unmeantExits++
      history.record({ is: 'exit', process: name, how, meant: wasMeant })
    }
  }
  const filled = fill()
  const present = (within = 60_000) =>
    until(() => !running?.ended() && running, { within, what: `${name} to run` })
  await present()

  async function term(): Promise<void> {
    const leaving = await present()
    meant.add(leaving)
    leaving.signal('SIGTERM')
    await leaving.exited
  }

  return {
    app,
    name,
    postgres,
    redis,
    unmeantExits: () => unmeantExits,
    upSince: () => upSince,
    log: () => [...logs, running?.log() ?? ''].join(''),
    present,
    async kill() {
      const victim = await present()
      meant.add(victim)
      await victim.kill()
    },
    term,
    async restartWith(settings) {
      more = settings
      await term()
      await present()
    },
    signal: async (signal) => (await present()).signal(signal),
    vacate() {
      let release = () => {}
      held = new Promise((resolve) => {
        release = resolve
      })
      return () => {
        held = undefined
        release()
      }
    },
    async close() {
      closing = true
      await running?.kill()
      await filled
      await Promise.all([postgres.close(), redis?.close()])
    },
  }
}

function addressOf(url: string): { host: string; port: number } {
  const { hostname, port } = new URL(url)
  return { host: hostname, port: Number(port) }
}

function through(proxy: FaultProxy, url: string): string {
  const own = new URL(url)
  own.port = `${proxy.port}`
  return own.href
}

interface SlotOptions {
  app: App
  name: string
  environment: Environment
  postgresUrl: string
  redisUrl: string | undefined
  history: History
  leash: Leash
}

export interface Slot {
  app: App
  name: string
  /** What stands between this process and the stores. `redis` only where the queue is on Redis. */
  postgres: FaultProxy
  redis: FaultProxy | undefined
  /** How often the process ended without being told to. */
  unmeantExits(): number
  /** Since when its process has been ready, by the monotonic clock; undefined while there is none. */
  upSince(): number | undefined
  /** All that every process of this slot wrote. */
  log(): string
  /** Waits until the slot holds a process that is ready. */
  present(within?: number): Promise<RunningProcess>
  /** kill -9; the next one starts at once. */
  kill(): Promise<void>
  /** SIGTERM, and waits for its end; the next one starts at once. */
  term(): Promise<void>
  /** SIGTERM; the next one, and all after it, are told `settings` beyond the usual. Resolves when it is ready. */
  restartWith(settings: Environment): Promise<void>
  /** SIGSTOP and SIGCONT. */
  signal(signal: NodeJS.Signals): Promise<void>
  /** From now on an end leaves the slot empty, until the answered function is called. */
  vacate(): () => void
  close(): Promise<void>
}
