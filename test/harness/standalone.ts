import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort } from '@millrace/standalone/ports'
import { until } from './wait.ts'

/** A data folder of the test's own; `remove` takes along what root's database keeps elsewhere. */
export async function freshDataDir(): Promise<DataDir> {
  const path = await mkdtemp(join(tmpdir(), 'millrace-standalone-'))
  return {
    path,
    read: async (file) => (await readFile(join(path, file), 'utf8')).trim(),
    async remove() {
      const note = await readFile(join(path, 'postgres.json'), 'utf8').catch(() => undefined)
      if (note) await rm(dirname(JSON.parse(note).folder), { recursive: true, force: true })
      await rm(path, { recursive: true, force: true })
    },
  }
}

/** What `npm start` runs once everything is installed. `checkout` may hold another version's code. */
export async function runStandalone(
  dataDir: string,
  environment: Record<string, string> = {},
  checkout = thisCheckout,
): Promise<Standalone> {
  const main = join(checkout, 'apps/standalone/src/main.ts')
  return run(['--disable-warning=ExperimentalWarning', main], dataDir, environment)
}

/** The launcher of `npm start`, which runs the same as a process below it, in a process group of its own. */
export async function runLauncher(dataDir: string): Promise<Standalone> {
  return run([launcher], dataDir, {}, { detached: true })
}

async function run(
  command: string[],
  dataDir: string,
  environment: Record<string, string>,
  options: { detached?: boolean } = {},
): Promise<Standalone> {
  const port = environment.PORT ?? String(await freePort())
  const whole = {
    PATH: process.env.PATH,
    HOME: process.env.HOME,
    DATA_DIR: dataDir,
    PORT: port,
    ...environment,
  }
  const child = spawn(process.execPath, command, {
    env: whole,
    stdio: ['ignore', 'pipe', 'pipe'],
    ...options,
  })
  running.add(child)
  let shown = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      shown += text
    })
  }
  const exited = once(child, 'exit').then(() => {
    running.delete(child)
    return child.exitCode
  })
  return {
    url: `http://127.0.0.1:${port}`,
    environment: whole,
    shown: () => shown,
    exited,
    signal: (name) => void child.kill(name),
    signalGroup(name) {
      if (child.pid !== undefined) process.kill(-child.pid, name)
    },
    stopReading() {
      child.stdout.destroy()
      child.stderr.destroy()
    },
    async untilReady() {
      await until(() => shown.includes('curl') || child.exitCode !== null, {
        within: 60_000,
        what: 'the banner',
      })
      if (child.exitCode !== null) throw new Error(`It ended instead of starting:\n${shown}`)
      return shown
    },
  }
}

/** The processes that work for this data folder, by what /proc says of them. Linux only. */
export async function processesOf(dataDir: string): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const found = await Promise.all(
    pids.map(async (pid) => {
      const [command, environment] = await Promise.all(
        ['cmdline', 'environ'].map((file) => readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '')),
      )
      return environment?.split('\0').includes(`DATA_DIR=${dataDir}`)
        ? [`${pid} ${command?.replaceAll('\0', ' ')}`]
        : []
    }),
  )
  return found.flat()
}

const thisCheckout = fileURLToPath(new URL('../..', import.meta.url))
const launcher = join(thisCheckout, 'scripts/start.mjs')
const running = new Set<ChildProcess>()

process.once('exit', () => {
  for (const child of running) child.kill('SIGTERM')
})

export interface Standalone {
  url: string
  /** What it got, for a command beside it. */
  environment: Record<string, string | undefined>
  /** All that a person would have seen so far. */
  shown(): string
  exited: Promise<number | null>
  signal(name: NodeJS.Signals): void
  /** As a terminal does; only for the launcher, whose group is its own. */
  signalGroup(name: NodeJS.Signals): void
  /** Closes the pipes that it writes to. */
  stopReading(): void
  untilReady(): Promise<string>
}

/** A folder for DATA_DIR. */
export interface DataDir {
  path: string
  read(file: string): Promise<string>
  remove(): Promise<void>
}
