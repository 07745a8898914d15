import { type ChildProcess, spawn } from 'node:child_process'
import type { Stream } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { nodeFlags } from '@millrace/process/node-flags'
import type { AppProcess } from './apps.ts'
import type { LogFile } from './log-file.ts'
import { StartProblem } from './start-problem.ts'

/**
 * Runs the processes and brings one that dies back, ever later the more often it does. Each has a session of its own,
 * so that Ctrl-C in a terminal reaches the supervisor only, which stops them in order; and each holds the end of a pipe
 * that closes when the supervisor is killed, which tells it to drain.
 */
export function supervise(apps: AppProcess[], options: SuperviseOptions): Supervisor {
  const children = apps.map((app) => keepRunning(app, options))
  return {
    async untilReady(signal) {
      await Promise.all(children.map((child) => child.untilReady(signal)))
    },
    async stop() {
      for (const child of children) await child.stop()
    },
    hurry() {
      for (const child of children) child.kill()
    },
  }
}

function keepRunning(app: AppProcess, { log, lifeline, onGone }: SuperviseOptions): Supervised {
  const stopping = new AbortController()
  let child = launch(app, log, lifeline)
  let everReady = false
  let failedToStart = false
  const over = loop()

  async function loop(): Promise<void> {
    for (let quickDeaths = 0; ; ) {
      const startedAt = performance.now()
      await gone(child)
      if (stopping.signal.aborted) return
      if (!everReady) {
        failedToStart = true
        return
      }
      quickDeaths = performance.now() - startedAt < 30_000 ? quickDeaths + 1 : 0
      const pause = Math.min(250 * 2 ** quickDeaths, 10_000)
      log.write(
        'supervisor',
        'warn',
        `the ${app.name} died (${describeExit(child)}); it is started again in ${pause} ms`,
      )
      killGroup(child) // what it had started must not go on without it
      await onGone(app.name)
      await delay(pause, undefined, { signal: stopping.signal }).catch(() => {})
      if (stopping.signal.aborted) return
      child = launch(app, log, lifeline)
    }
  }

  return {
    async untilReady(signal) {
      const deadline = performance.now() + 60_000
      while (!(await isReady(app.readyUrl))) {
        signal.throwIfAborted()
        if (failedToStart || performance.now() > deadline) throw notStarting(app, child, log)
        await delay(25)
      }
      everReady = true
    },
    async stop() {
      stopping.abort()
      if (isAlive(child)) child.kill('SIGTERM')
      const timer = setTimeout(() => killGroup(child), app.drainSeconds * 1000)
      await over
      clearTimeout(timer)
      killGroup(child)
      await onGone(app.name)
    },
    kill() {
      killGroup(child)
    },
  }
}

function launch({ name, main, env }: AppProcess, log: LogFile, lifeline?: Stream): ChildProcess {
  const child = spawn(process.execPath, [...nodeFlags, main], {
    env,
    detached: true,
    // What comes after these three the app only holds.
    stdio: ['pipe', 'pipe', 'pipe', ...(lifeline ? [lifeline] : [])],
  })
  child.stdin?.on('error', () => {})
  if (child.stdout) log.follow(name, child.stdout)
  if (child.stderr) log.follow(name, child.stderr)
  return child
}

/** Whether a process says at `url` that it can serve. */
export async function isReady(url: string): Promise<boolean> {
  return await fetch(url, { signal: AbortSignal.timeout(5_000) }).then(
    async (response) => {
      await response.body?.cancel()
      return response.ok
    },
    () => false,
  )
}

function gone(child: ChildProcess): Promise<unknown> {
  return isAlive(child) ? new Promise((resolve) => child.once('exit', resolve)) : Promise.resolve()
}

function isAlive({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode === null && signalCode === null
}

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // Nobody of it is left.
  }
}

function describeExit({ exitCode, signalCode }: ChildProcess): string {
  return signalCode ?? `exit code ${exitCode}`
}

function notStarting({ name }: AppProcess, child: ChildProcess, log: LogFile): StartProblem {
  const how = isAlive(child)
    ? 'was not ready within a minute'
    : `ended while it started (${describeExit(child)})`
  return new StartProblem(`The ${name} ${how}.`, `${log.lastLines(name)}\nAll of it is in ${log.path}`)
}

export interface Supervisor {
  untilReady(signal: AbortSignal): Promise<void>
  /** Drains one after the other. */
  stop(): Promise<void>
  hurry(): void
}

interface Supervised {
  untilReady(signal: AbortSignal): Promise<void>
  stop(): Promise<void>
  kill(): void
}

interface SuperviseOptions {
  log: LogFile
  /** Held by each process as long as it lives. */
  lifeline: Stream | undefined
  /** Waited for once the process and all that it started are gone, for good or until it is started again. */
  onGone: (app: AppProcess['name']) => Promise<void>
}
