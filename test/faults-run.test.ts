import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { scenarios } from './faults/all.ts'
import { inWords, type Result } from './faults/results.ts'
import { until } from './harness/wait.ts'

const aPass: Result = { breaches: [], figures: {}, history: '', seed: 1, seconds: 1 }

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-faults-run-'))
  await mkdir(join(folder, 'tmp'))
})

afterEach(() => rm(folder, { recursive: true, force: true }))

test.each([
  ['a fault that there is not', ['--only', 'kill-worker,kill-nobody'], 'No fault is called "kill-nobody".'],
  ['a queue that there is not', ['--queue', 'kafka'], 'No queue is called "kafka".'],
  ['a number that is none', ['--predictions', 'many'], '--predictions many is no number.'],
  ['an option that there is not', ['--fast'], "Unknown option '--fast'"],
])('%s is refused in words', async (_what, args, words) => {
  const { code, errors } = await ended(start(args))
  expect(errors).toContain(words)
  expect(errors).not.toContain('    at ')
  expect(code).toBe(1)
})

test('a fault that is not known is answered with those that are', async () => {
  const { errors } = await ended(start(['--only', 'kill-nobody']))
  for (const { name } of scenarios) expect(errors).toContain(`  ${name}\n`)
})

test('what has passed is not run again, and what is left is told', async () => {
  await mkdir(join(folder, '.faults'))
  const results = { 'kill-worker (redis)': aPass, 'receivers (redis)': { ...aPass, breaches: ['one'] } }
  await writeFile(join(folder, '.faults/results.json'), JSON.stringify(results))
  const { code, output } = await ended(start(['--minutes', '0', '--queue', 'redis']))
  const all = scenarios.filter(({ queues }) => queues?.includes('redis') ?? true).length
  expect(output).toContain(`1 of ${all} passed before, 1 of them at another commit; --fresh`)
  expect(output).toContain(`1 passed, 0 failed, ${all - 1} left: run it again to go on`)
  expect(code).toBe(1)
})

test('--fresh forgets what has passed', async () => {
  await mkdir(join(folder, '.faults'))
  await writeFile(
    join(folder, '.faults/results.json'),
    JSON.stringify({ 'kill-worker (redis)': { ...aPass, commit: 'abc1234' } }),
  )
  const { output } = await ended(start(['--minutes', '0', '--only', 'kill-worker', '--fresh']))
  expect(output).toContain('0 passed, 0 failed, 2 left')
})

test.each([
  ['this commit', 'abc1234', 'no breach, kills 3, 1 s'],
  ['another commit', 'abc1235', 'no breach, kills 3, 1 s, at abc1235'],
  ['this commit with changes in it', 'abc1234+', 'no breach, kills 3, 1 s, at abc1234+'],
  ['nobody knows which commit', undefined, 'no breach, kills 3, 1 s, at an unknown commit'],
])('a pass of %s is reported as such', (_whose, commit, words) => {
  const result = { ...aPass, figures: { kills: 3 }, ...(commit && { commit }) }
  expect(inWords(result, 'abc1234')).toBe(words)
})

test.skipIf(process.platform !== 'linux').each(['Ctrl-C', 'kill -9'])(
  '%s leaves neither a process nor a folder behind',
  { timeout: 120_000 },
  async (how) => {
    const run = start(['--only', 'kill-worker', '--predictions', '100000'])
    try {
      const running = await until(
        async () => {
          const all = await processesOf(folder)
          const are = (...names: string[]) => names.every((name) => all.some(({ is }) => is.includes(name)))
          return are('apps/api', 'apps/worker', 'apps/dispatcher', 'redis-server', 'bin/postgres') && all
        },
        { within: 60_000, what: 'the service to run' },
      )
      if (how === 'kill -9') {
        const worker = running.find(({ is }) => is.includes('apps/worker'))
        process.kill(worker?.pid ?? 0, 'SIGSTOP') // it cannot see that its supervisor has gone
        run.kill('SIGKILL')
      } else {
        process.kill(-(run.pid ?? 0), 'SIGINT') // as a terminal does it: to the whole group
      }
      await once(run, 'exit')
      await until(async () => (await processesOf(folder)).length === 0, {
        within: 60_000,
        what: 'every process to end',
      })
      expect(await readdir(join(folder, 'tmp'))).toEqual([])
    } finally {
      for (const { pid } of await processesOf(folder)) process.kill(pid, 'SIGKILL')
    }
  },
)

function start(args: string[]) {
  const file = join(import.meta.dirname, 'faults/run.ts')
  const command = [process.execPath, '--disable-warning=ExperimentalWarning', file, ...args]
  return spawn('env', [`TMPDIR=${join(folder, 'tmp')}`, ...command], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
}

async function ended(run: ReturnType<typeof start>) {
  const [output, errors] = await Promise.all([text(run.stdout), text(run.stderr)])
  if (run.exitCode === null) await once(run, 'exit')
  return { output, errors, code: run.exitCode }
}

/** Every process that has to do with a folder: told of it by its command line or its environment, or being in it. */
async function processesOf(marker: string): Promise<{ pid: number; is: string }[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const read = (path: string) => readFile(path, 'utf8').catch(() => '')
  const all = await Promise.all(
    pids.map(async (pid) => {
      const is = (await read(`/proc/${pid}/cmdline`)).replaceAll('\0', ' ')
      const about = [
        is,
        await read(`/proc/${pid}/environ`),
        await readlink(`/proc/${pid}/cwd`).catch(() => ''),
      ]
      return { pid: Number(pid), is, ours: is !== '' && about.some((one) => one.includes(marker)) }
    }),
  )
  return all.filter(({ ours }) => ours)
}
