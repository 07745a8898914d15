import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { onTestFinished } from 'vitest'
import { until } from './wait.ts'

/**
 * Runs what the README says for a start, against a repository that holds the working tree as it is now, committed or not.
 * Between the clone and `npm start`, what npm would fetch from the network is put there. Everything goes with the test.
 */
export async function givenClone(commands: string, port = 0): Promise<Clone> {
  const parent = await mkdtemp(join(tmpdir(), 'millrace-clone-'))
  const folder = join(parent, 'millrace')
  let running: Terminal | undefined
  onTestFinished(async () => {
    await running?.interrupt()
    await removeDatabase(folder)
    await rm(parent, { recursive: true, force: true })
  })
  const repository = join(parent, 'repository.git')
  await makeRepository(repository)
  const [getIt = '', startIt = ''] = commands
    .replace('<this repository>', repository)
    .split(/^(?=npm start$)/m)
  if (startIt.trim() !== 'npm start')
    throw new Error(`These commands do not end with npm start:\n${commands}`)
  await type(getIt, parent)
  await linkPackages(folder)
  return {
    folder,
    async up(environment = {}) {
      running = openTerminal(startIt, folder, { PORT: String(port), ...environment })
      await running.untilShown('Paste this')
    },
    async down() {
      await running?.interrupt()
    },
  }
}

/**
 * Types a command into a terminal of its own, which has no environment variable but those every login has. Answers when
 * it has ended; throws with what it printed when it failed.
 */
export async function type(command: string, cwd: string): Promise<string> {
  const terminal = openTerminal(command, cwd)
  if ((await terminal.ended) !== 0) throw new Error(`It failed:\n${command}\n\n${terminal.shown()}`)
  return terminal.shown()
}

/** The same for a command that goes on until Ctrl-C. */
export function openTerminal(command: string, cwd: string, environment: Environment = {}): Terminal {
  const { PATH, HOME, USER, LANG } = process.env
  const child = spawn('sh', ['-ec', command], {
    cwd,
    env: { PATH: withoutBinaries(PATH), HOME, USER, LANG, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  const signal = (name: NodeJS.Signals) => {
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null)
      process.kill(-child.pid, name)
  }
  const kill = () => signal('SIGKILL')
  process.once('exit', kill)
  let shown = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      shown += text
    })
  }
  const ended = once(child, 'exit').then(() => {
    process.off('exit', kill)
    return child.exitCode
  })
  return {
    shown: () => shown,
    ended,
    untilShown: (text, within = 60_000) =>
      until(
        () => {
          if (child.exitCode !== null) return 'ended'
          return shown.includes(text) && 'shown'
        },
        { within, what: `"${text}"` },
      ).then((state) => {
        if (state === 'ended' && !shown.includes(text)) throw new Error(`It ended:\n${command}\n\n${shown}`)
      }),
    async interrupt() {
      signal('SIGINT')
      await ended
    },
  }
}

async function makeRepository(path: string): Promise<void> {
  const named = ['-c', 'user.name=test', '-c', 'user.email=test@localhost', '-c', 'commit.gpgsign=false']
  const here = [`--git-dir=${path}`, `--work-tree=${checkout}`, ...named]
  await git('init', '--quiet', '--bare', path)
  // The test of the import rules makes and removes these meanwhile.
  await git(...here, 'add', '--all', '--', ':/', ':(top,exclude,glob)**/lint-probe-*/**')
  await git(...here, 'commit', '--quiet', '--message=As it is now')
}

/** Links to the checkout's packages, but for the workspaces, which are the clone's own. */
export async function linkPackages(clone: string): Promise<void> {
  const [from, to] = [join(checkout, 'node_modules'), join(clone, 'node_modules')]
  await mkdir(to)
  await cp(join(from, '@millrace'), join(to, '@millrace'), { recursive: true, verbatimSymlinks: true })
  const names = (await readdir(from)).filter((name) => name !== '@millrace')
  await Promise.all(names.map((name) => symlink(join(from, name), join(to, name))))
}

/** Root's database is kept outside of the data folder. */
async function removeDatabase(clone: string): Promise<void> {
  const note = await readFile(join(clone, '.millrace', 'postgres.json'), 'utf8').catch(() => undefined)
  if (note) await rm(dirname(JSON.parse(note).folder), { recursive: true, force: true })
}

/** As in a terminal of somebody who has just come: the system's own Node. */
function withoutBinaries(path = ''): string {
  return path
    .split(':')
    .filter((folder) => !folder.includes('node_modules'))
    .join(':')
}

async function git(...args: string[]): Promise<void> {
  await promisify(execFile)('git', args, { cwd: checkout })
}

const checkout = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '')

type Environment = Record<string, string>

export interface Clone {
  folder: string
  /** `npm start`, until it says that it runs. */
  up(environment?: Environment): Promise<void>
  /** Ctrl-C. */
  down(): Promise<void>
}

export interface Terminal {
  shown(): string
  ended: Promise<number | null>
  untilShown(text: string, within?: number): Promise<void>
  /** Ctrl-C, and waits for the end. */
  interrupt(): Promise<void>
}
