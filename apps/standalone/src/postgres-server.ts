import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { readFile, readlink, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Stream } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { guardServer } from './guard-server.ts'
import { freePort } from './ports.ts'
import type { PostgresHome } from './postgres-home.ts'
import { isOurProcess } from './process-identity.ts'
import { StartProblem } from './start-problem.ts'

/** Starts the server and keeps it running: should it die, it comes back on the same port. */
export async function runServer(home: PostgresHome, options: ServerOptions): Promise<PostgresServer> {
  await startNewLog(options.logFile)
  let { child, port } = await launchSomewhere(home, options)
  const guard = guardServer(home.folder, port)
  let stopping: Promise<void> | undefined

  async function keepRunning(): Promise<void> {
    for (;;) {
      await gone(child)
      if (stopping) return
      options.onRestart(`the database server stopped by itself (${describeExit(child)})`)
      await delay(1000)
      if (stopping) return
      child = launch(home, port, options)
    }
  }
  void keepRunning()

  return {
    port,
    lifeline: guard.lifeline,
    stop({ hurry = false } = {}) {
      if (hurry) child.kill('SIGQUIT')
      stopping ??= end(child, hurry).then(guard.callOff)
      return stopping
    },
  }
}

/** Stops a server that a killed run left running on this cluster; a stale note without a server is removed. */
export async function stopLeftover({ folder }: PostgresHome): Promise<boolean> {
  const note = join(folder, 'postmaster.pid')
  const text = await readFile(note, 'utf8').catch(() => undefined)
  if (text === undefined) return false
  const pid = Number.parseInt(text, 10)
  if (!(await isPostmasterOf(folder, pid))) {
    // PostgreSQL would see for itself, unless the number has been given to another process of this user since.
    await rm(note, { force: true })
    return false
  }
  process.kill(pid, 'SIGINT') // a fast, clean shutdown
  if (!(await untilGone(folder, pid, 20_000))) {
    process.kill(pid, 'SIGQUIT')
    await untilGone(folder, pid, 5_000)
  }
  return true
}

async function isPostmasterOf(folder: string, pid: number): Promise<boolean> {
  if (process.platform === 'linux') {
    // The postmaster's working directory is its cluster.
    return await readlink(`/proc/${pid}/cwd`).then(
      async (cwd) => cwd === folder && (await isOurProcess(pid, 'postgres')),
      () => false,
    )
  }
  return await isOurProcess(pid, folder)
}

async function untilGone(folder: string, pid: number, within: number): Promise<boolean> {
  const deadline = performance.now() + within
  while (await isPostmasterOf(folder, pid)) {
    if (performance.now() > deadline) return false
    await delay(50)
  }
  return true
}

/** The port was free a moment ago; now and then somebody else is faster, and so is a dying server's shared memory. */
async function launchSomewhere(
  home: PostgresHome,
  options: ServerOptions,
): Promise<{ child: ChildProcess; port: number }> {
  for (let attempt = 1; ; attempt++) {
    const port = await freePort()
    const child = launch(home, port, options)
    if (await untilReady(home, child)) return { child, port }
    if (attempt === 5) {
      throw new StartProblem(
        'The database server does not start.',
        `It says:\n${await lastLines(options.logFile)}`,
      )
    }
    await delay(attempt * 200)
  }
}

function launch(
  { native, folder, user }: PostgresHome,
  port: number,
  { durable, settings = [], logFile }: ServerOptions,
): ChildProcess {
  const log = openSync(logFile, 'a', 0o600)
  const fleeting = durable ? [] : ['fsync=off', 'synchronous_commit=off', 'full_page_writes=off']
  const all = [
    'max_connections=200',
    'autovacuum_naptime=10s',
    'timezone=UTC',
    'log_timezone=UTC',
    ...fleeting,
    ...settings,
  ]
  const child = spawn(
    join(native, 'bin', 'postgres'),
    ['-D', folder, '-h', '127.0.0.1', '-p', String(port), '-k', '', ...all.flatMap((one) => ['-c', one])],
    { cwd: '/', detached: true, stdio: ['ignore', log, log], ...(user && { uid: user.uid, gid: user.gid }) },
  )
  child.on('error', () => {}) // an exit follows, or untilReady sees that nothing started
  closeSync(log)
  return child
}

/** Waits until the server notes that it accepts connections, as pg_ctl does. False when it ended instead. */
async function untilReady({ folder }: PostgresHome, child: ChildProcess): Promise<boolean> {
  const deadline = performance.now() + 60_000 // a recovery after a power cut takes its time
  while (performance.now() < deadline && child.pid !== undefined && isAlive(child)) {
    const [pid, , , , , , , status] = (
      await readFile(join(folder, 'postmaster.pid'), 'utf8').catch(() => '')
    ).split('\n')
    if (Number(pid) === child.pid && status?.trim() === 'ready') return true
    await delay(20)
  }
  child.kill('SIGQUIT')
  return false
}

async function end(child: ChildProcess, hurry: boolean): Promise<void> {
  if (!isAlive(child)) return
  child.kill(hurry ? 'SIGQUIT' : 'SIGINT')
  const timer = setTimeout(() => child.kill('SIGQUIT'), 20_000)
  await gone(child)
  clearTimeout(timer)
}

function gone(child: ChildProcess): Promise<unknown> {
  return isAlive(child) ? new Promise((resolve) => child.once('exit', resolve)) : Promise.resolve()
}

function isAlive({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode === null && signalCode === null
}

function describeExit({ exitCode, signalCode }: ChildProcess): string {
  return signalCode ?? `exit code ${exitCode}`
}

/** One earlier log is kept, so that the folder does not grow for ever. */
async function startNewLog(logFile: string): Promise<void> {
  const size = await stat(logFile)
    .then((found) => found.size)
    .catch(() => 0)
  if (size > 10_000_000) await rename(logFile, `${logFile}.1`)
}

async function lastLines(logFile: string): Promise<string> {
  const text = await readFile(logFile, 'utf8').catch(() => '')
  return text.trim().split('\n').slice(-8).join('\n')
}

export interface PostgresServer {
  port: number
  /** Whoever holds it keeps the server when this process is killed. */
  lifeline: Stream
  stop(options?: { hurry?: boolean }): Promise<void>
}

interface ServerOptions {
  durable: boolean
  settings?: string[]
  logFile: string
  onRestart: (reason: string) => void
}
