import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { type PreparedDataDir, prepareDataDir } from './harness/prepared-data-dir.ts'
import { processesOf, runStandalone, type Standalone } from './harness/standalone.ts'
import { until } from './harness/wait.ts'
import { lives } from './lives.ts'

// kill -9 of the supervisor, alone and together with what it should look after.

let prepared: PreparedDataDir

describe.runIf(process.platform === 'linux')('a supervisor that is killed', () => {
  beforeAll(async () => {
    prepared = await prepareDataDir()
  })
  afterAll(() => prepared.remove())

  test('takes its processes along, its database last and in order', async () => {
    const service = await givenService()

    service.standalone.signal('SIGKILL')

    await service.untilGone()
    expect(await readFile(join(service.dataDir, 'postgres.log'), 'utf8')).toContain(
      'database system is shut down',
    )
    await service.startAgain()
    expect(await service.untilSucceeded()).toMatchObject({ attempts: 2 })
  }, 120_000)

  test.each(['api', 'worker', 'dispatcher'])(
    'in the same instant as its %s leaves no process, no port and no lease behind',
    async (app) => {
      const service = await givenService()
      const [killed = 0] = await service.pidsOf(`/apps/${app}/src/main.ts`)
      const [supervisor = 0] = await service.pidsOf('/apps/standalone/src/main.ts')
      // Stopped, neither can do anything about the death of the other.
      for (const pid of [supervisor, killed]) process.kill(pid, 'SIGSTOP')

      for (const pid of [supervisor, killed]) process.kill(pid, 'SIGKILL')

      await service.untilGone()
      await service.startAgain()
      expect(await service.untilSucceeded()).toMatchObject({ attempts: 2 })
    },
    120_000,
  )

  test('together with the guard of its database leaves one that the next start takes over', async () => {
    const service = await givenService()
    const guards = await guardsOf(await service.databaseFolder())
    expect(guards).toHaveLength(1)
    for (const pid of guards) process.kill(pid, 'SIGKILL')

    service.standalone.signal('SIGKILL')

    await until(async () => (await service.pidsOf('/apps/')).length === 0, {
      within: 30_000,
      what: 'the apps to end',
    })
    expect(await service.startAgain()).toContain('Stopped the database server of a run that was killed')
    expect(await service.untilSucceeded()).toMatchObject({ attempts: 2 })
  }, 120_000)
})

/** `npm start` with a command under way that would run for ten minutes; its second run ends at once. */
async function givenService() {
  const dataDir = await prepared.copy()
  onTestFinished(() => dataDir.remove())
  const environment = { MODELS_DIR: dataDir.path, DRAIN_SECONDS: '1', CANCEL_GRACE_SECONDS: '1' }
  await givenCommand(dataDir.path)
  const standalone = await start(dataDir.path, environment)
  const port = new URL(standalone.url).port
  const headers = { 'x-api-key': await dataDir.read('api-key'), 'content-type': 'application/json' }
  const body = JSON.stringify({ model: 'patient', input: {} })
  const created = await fetch(`${standalone.url}/v1/predictions`, { method: 'POST', headers, body })
  const { id } = (await created.json()) as { id: string }
  const command = (await until(() => dataDir.read('pids'), { what: 'the run to begin' }))
    .split(' ')
    .map(Number)
  onTestFinished(async () => {
    const left = [...(await processesOf(dataDir.path)).map(Number.parseInt), ...command]
    for (const pid of left.filter(lives)) process.kill(pid, 'SIGKILL')
  })
  const pidsOf = async (part: string) =>
    (await processesOf(dataDir.path))
      .filter((line) => line.includes(part))
      .map((line) => Number.parseInt(line, 10))
  return {
    dataDir: dataDir.path,
    standalone,
    pidsOf,
    databaseFolder: async (): Promise<string> => JSON.parse(await dataDir.read('postgres.json')).folder,
    async untilGone() {
      await until(async () => (await pidsOf('')).length === 0 && !command.some(lives), {
        within: 60_000,
        what: 'every process to end',
      })
    },
    async startAgain() {
      return (await start(dataDir.path, { ...environment, PORT: port })).untilReady()
    },
    untilSucceeded: () =>
      until(
        async () => {
          const answer = await fetch(`${standalone.url}/v1/predictions/${id}`, { headers })
          const { status, metadata } = (await answer.json()) as Shown
          return status === 'succeeded' && metadata
        },
        { within: 10_000, what: 'the prediction to be run again without waiting for its lease' },
      ),
  }
}

async function start(dataDir: string, environment: Record<string, string>): Promise<Standalone> {
  const standalone = await runStandalone(dataDir, environment)
  onTestFinished(async () => {
    standalone.signal('SIGTERM')
    await standalone.exited
  })
  await standalone.untilReady()
  return standalone
}

async function givenCommand(folder: string): Promise<void> {
  const script = `cd '${folder}'
    if [ -e pids ]; then echo '{"event":"result","output":"second time lucky"}'; exit; fi
    sleep 600 & echo "$$ $!" > pids.new; mv pids.new pids; wait`
  const model = {
    namespace: 'patient',
    type: 'text',
    input_schema: { type: 'object' },
    provider: { kind: 'command', command: ['/bin/sh', '-c', script] },
  }
  await writeFile(join(folder, 'patient.json'), JSON.stringify(model))
}

/** The shells that wait for the end of whoever works with a database. */
async function guardsOf(folder: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')))
  return pids.filter((_, n) => lines[n]?.includes(`millrace-guard\0${folder}\0`)).map(Number)
}

interface Shown {
  status: string
  metadata: { attempts: number }
}
