import { mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { loadCatalogue } from '@millrace/models/catalogue'
import { openProvider } from '@millrace/providers/open-provider'
import { expect, onTestFinished, test } from 'vitest'
import { startTestWorker } from './given-worker.ts'
import { until } from './harness/wait.ts'
import { lives } from './lives.ts'
import { startRun, temporaryFolder } from './run-model.ts'

// Takes memory in steps of a megabyte, its children once it has noted who they are, and stays until it is told to end.
const taker = `
import json, os, sys, time
asked = json.load(sys.stdin)
work = os.environ['MILLRACE_WORK_DIR']
def take(mb):
    return [b'x' * 1_000_000 for _ in range(mb)]
def wait_for(name):
    while not os.path.exists(work + name):
        time.sleep(0.01)
own = take(asked['own'])
pids = [os.getpid()]
for mb in asked['children']:
    pid = os.fork()
    if pid == 0:
        wait_for('/pids')
        kept = take(mb)
        time.sleep(600)
    pids.append(pid)
with open(work + '/pids.new', 'w') as file:
    file.write(' '.join(map(str, pids)))
os.rename(work + '/pids.new', work + '/pids')
wait_for('/end')
print(json.dumps({'event': 'result', 'output': 'kept to it'}))
`

test('a command that takes more memory than its memory_mb is killed with its children; one that does not is left alone', async () => {
  const model = await givenCommand({ command: ['python3', '-c', taker], memory_mb: 128 })
  // Added up, what these four processes share would be over the limit: it is there only once.
  const modest = await model.run({ own: 40, children: [0, 0, 0] })
  const modestPids = await modest.pids()
  // No process of this one is over the limit, but all of them are.
  const greedy = await model.run({ own: 20, children: [60, 60, 60] })

  expect(await greedy.outcome).toMatchObject({
    kind: 'failed',
    code: 'MODEL_ERROR',
    detail: expect.stringMatching(
      /^The command used more than its 128 MB of memory: \d{3} MB in [2-4] processes$/,
    ),
  })
  await until(async () => !(await greedy.pids()).some(lives), { what: 'its processes to end' })

  expect(modestPids.every(lives)).toBe(true)
  await modest.end()
  expect(await modest.outcome).toMatchObject({ kind: 'succeeded', output: 'kept to it' })
})

test('a command that takes longer than its time limit is killed with its children, and is not run again', async () => {
  const script = 'sleep 600 & echo "$$ $!" > pids.new; mv pids.new pids; wait'
  const folder = await givenFolder('sleeper', { command: ['/bin/sh', '-c', script] })
  const service = await startTestWorker('redis', { MODELS_DIR: folder })
  onTestFinished(() => service.stop())
  const made = await service.create('sleeper', {}, { timeouts: { start: 60, run: 3 } })

  const { error_id, attempt } = await made.reaches('failed')

  expect({ error_id, attempt }).toEqual({ error_id: 'RUN_TIMEOUT', attempt: 1 })
  const pids = await pidsIn(folder)
  expect(pids).toHaveLength(2)
  await until(() => !pids.some(lives), { what: 'its processes to end' })
})

async function givenCommand(provider: { command: string[]; memory_mb: number }) {
  const folder = await givenFolder('taker', provider)
  const { models, problems } = await loadCatalogue({ dirs: [folder], testModels: false })
  const model = models.get('taker')
  if (!model) throw new Error(JSON.stringify(problems))
  const opened = openProvider(model)
  onTestFinished(() => opened.close())
  return {
    async run(input: { own: number; children: number[] }) {
      const work = await mkdtemp(join(folder, 'run-'))
      const { outcome } = startRun(opened, model, input, work)
      return { outcome, pids: () => pidsIn(work), end: () => writeFile(join(work, 'end'), '') }
    },
  }
}

/** A folder of models with one command in it, which may have two runs at a time. */
async function givenFolder(namespace: string, provider: { command: string[] }): Promise<string> {
  const { path, ...folder } = await temporaryFolder()
  onTestFinished(() => folder[Symbol.asyncDispose]())
  const about = { namespace, type: 'text', concurrency: 2, input_schema: { type: 'object' } }
  await writeFile(
    join(path, `${namespace}.json`),
    JSON.stringify({ ...about, provider: { kind: 'command', ...provider } }),
  )
  return path
}

async function pidsIn(folder: string): Promise<number[]> {
  const pids = await until(() => readFile(join(folder, 'pids'), 'utf8'), { what: 'the command to begin' })
  return pids.trim().split(' ').map(Number)
}
