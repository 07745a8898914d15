import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { loadCatalogue } from '@millrace/models/catalogue'
import type { ModelDescription } from '@millrace/models/description'
import { expect, onTestFinished, test } from 'vitest'
import { until } from './harness/wait.ts'
import { lives } from './lives.ts'
import { temporaryFolder } from './run-model.ts'

// A worker, the process of its model, and what that has started: kill -9 of some of them leaves none of the others.

const startsSleeper = `
  import { spawn } from 'node:child_process'
  import { writeFileSync } from 'node:fs'
  export default {
    namespace: 'sleeper', type: 'text', input_schema: { type: 'object' },
    run(_, { workDir }) {
      const { pid } = spawn('sleep', ['600'])
      writeFileSync(workDir + '/pids.new', process.pid + ' ' + pid)
      spawn('mv', [workDir + '/pids.new', workDir + '/pids'])
      return new Promise(() => undefined)
    },
  }`
const busy = `
  import { writeFileSync } from 'node:fs'
  export default {
    namespace: 'busy', type: 'text', input_schema: { type: 'object' },
    run(_, { workDir }) {
      writeFileSync(workDir + '/pids', String(process.pid))
      for (;;);
    },
  }`
const command = {
  namespace: 'command',
  type: 'text',
  input_schema: { type: 'object' },
  provider: {
    kind: 'command',
    command: [
      '/bin/sh',
      '-c',
      'cd "$MILLRACE_WORK_DIR"; sleep 600 & echo "$PPID $$ $!" > pids.new; mv pids.new pids; wait',
    ],
  },
}

test('a busy model dies with its worker', async () => {
  const { worker, pids } = await givenRun('busy.mjs', busy)

  process.kill(worker, 'SIGKILL')

  await untilGone([worker, ...pids])
})

test('what a model has started dies with it', async () => {
  const { pids } = await givenRun('sleeper.mjs', startsSleeper)

  process.kill(pids[0] ?? 0, 'SIGKILL')

  await untilGone(pids)
})

test.each([
  ['a program that a model has started', 'sleeper.mjs', startsSleeper],
  ['a command with everything it has started', 'command.json', JSON.stringify(command)],
])(
  '%s ends when the worker and the process of the model are killed in the same instant',
  async (_, file, text) => {
    const { worker, pids } = await givenRun(file, text)
    const [host = 0] = pids
    // Stopped, neither can do anything about the death of the other.
    for (const pid of [worker, host]) process.kill(pid, 'SIGSTOP')

    for (const pid of [worker, host]) process.kill(pid, 'SIGKILL')

    await untilGone([worker, ...pids])
  },
)

/** A run in a process that opens the model as a worker does. The first of `pids` is the model's own process. */
async function givenRun(file: string, text: string): Promise<{ worker: number; pids: number[] }> {
  const folder = await temporaryFolder()
  onTestFinished(() => folder[Symbol.asyncDispose]())
  await writeFile(join(folder.path, file), text)
  const { models } = await loadCatalogue({ dirs: [folder.path], testModels: false })
  const [description] = models.values()
  const child = spawn(
    process.execPath,
    ['--input-type=module', '--eval', program(description, folder.path)],
    {
      cwd: import.meta.dirname,
      stdio: ['ignore', 'ignore', 'inherit'],
    },
  )
  await once(child, 'spawn')
  const pids = await until(() => readFile(join(folder.path, 'pids'), 'utf8'), { what: 'the run to begin' })
  const started = { worker: child.pid ?? 0, pids: pids.trim().split(' ').map(Number) }
  onTestFinished(() => {
    for (const pid of [started.worker, ...started.pids].filter(lives)) process.kill(pid, 'SIGKILL')
  })
  expect(started.pids.every(lives)).toBe(true)
  return started
}

const program = (description: ModelDescription | undefined, workDir: string): string => `
  import { openProvider } from '@millrace/providers/open-provider'
  const signal = new AbortController().signal
  const request = { id: 'a', attempt: 1, input: {}, workDir: ${JSON.stringify(workDir)}, signal, emit() {} }
  await openProvider(${JSON.stringify(description)}).run(request)
  await new Promise((resolve) => setTimeout(resolve, 60_000))`

async function untilGone(pids: number[]): Promise<void> {
  await until(() => !pids.some(lives), { what: 'every process to end' })
}
