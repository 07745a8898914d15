import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { type PreparedDataDir, prepareDataDir } from './harness/prepared-data-dir.ts'
import {
  type DataDir,
  freshDataDir,
  processesOf,
  runLauncher,
  runStandalone,
  type Standalone,
} from './harness/standalone.ts'
import { until } from './harness/wait.ts'

let first: { dataDir: DataDir; standalone: Standalone; banner: string }
let prepared: PreparedDataDir
beforeAll(async () => {
  ;[first, prepared] = await Promise.all([startFirst(), prepareDataDir()])
}, 120_000)
afterAll(async () => {
  await stopFirst(first)
  await prepared.remove()
})

async function startFirst(): Promise<typeof first> {
  const dataDir = await freshDataDir()
  const standalone = await runStandalone(dataDir.path)
  return { dataDir, standalone, banner: await standalone.untilReady() }
}

async function stopFirst({ dataDir, standalone }: typeof first): Promise<void> {
  standalone.signal('SIGTERM')
  await standalone.exited
  await dataDir.remove()
}

async function givenDataDir(): Promise<DataDir> {
  const dataDir = await freshDataDir()
  onTestFinished(() => dataDir.remove())
  return dataDir
}

/** As a start and a stop have left it. */
async function givenUsedDataDir(): Promise<DataDir> {
  const dataDir = await prepared.copy()
  onTestFinished(() => dataDir.remove())
  return dataDir
}

async function started(dataDir: string, environment: Record<string, string> = {}): Promise<Standalone> {
  const standalone = await runStandalone(dataDir, environment)
  onTestFinished(async () => {
    standalone.signal('SIGTERM')
    await standalone.exited
  })
  return standalone
}

function request(standalone: Standalone, path: string, apiKey: string, body?: unknown): Promise<Response> {
  return fetch(`${standalone.url}${path}`, {
    headers: { 'x-api-key': apiKey, 'content-type': 'application/json' },
    ...(body !== undefined && { method: 'POST', body: JSON.stringify(body) }),
  })
}

/** The lines of the banner that are meant to be pasted. */
function printedCommand(banner: string): string {
  return banner.slice(banner.indexOf('curl ')).trimEnd()
}

async function databaseOf(dataDir: string): Promise<string[]> {
  return (await processesOf(dataDir)).filter((line) => line.includes('bin/postgres -D'))
}

/** What a launcher left behind although it should not have: the test has failed then. */
async function endLeftovers(dataDir: string): Promise<void> {
  for (const line of await processesOf(dataDir)) process.kill(Number.parseInt(line, 10), 'SIGKILL')
}

const echo = { model: 'echo', input: { hello: 'again' }, await: true }

describe('a start in an empty folder', () => {
  test('shows the URL, the docs and the ordinary key, never the admin key; secrets are for the owner only', async () => {
    const { dataDir, standalone, banner } = first

    expect(banner).toContain(standalone.url)
    expect(banner).toContain(`${standalone.url}/docs`)
    expect(banner).toContain(await dataDir.read('api-key'))
    expect(banner).not.toContain(await dataDir.read('admin-key'))
    expect(banner).toContain('REDIS_URL')
    expect(banner).toMatch(/Outbound +webhooks, file inputs and web-page may call this machine itself$/m)
    expect(banner).toContain('OUTBOUND_LOOPBACK=false')
    for (const secret of ['api-key', 'admin-key', 'master-key', 'postgres-password', 'database-url']) {
      expect((await stat(join(dataDir.path, secret))).mode & 0o777, secret).toBe(0o600)
    }
    const fromTitle = banner.slice(banner.indexOf('Millrace is running'))
    for (const line of fromTitle.split('\n')) expect(line.length, line).toBeLessThanOrEqual(80)
  })

  test('prints a command that makes a picture, as it is', async () => {
    const command = printedCommand(first.banner)

    const { stdout } = await promisify(execFile)('sh', ['-c', command])
    const prediction = JSON.parse(stdout)
    expect(prediction).toMatchObject({ status: 'succeeded', error: null })
    const picture = await fetch(prediction.output[0])
    expect(picture.status).toBe(200)
    expect(picture.headers.get('content-type')).toMatch(/^image\//)
  })
})

describe('what a person can put right is said in words', () => {
  test('model files that cannot be used: each once, with its path and the reason', async () => {
    const dataDir = await givenUsedDataDir()
    const models = join(dataDir.path, 'models')
    await mkdir(models)
    await writeFile(join(models, 'cut.mjs'), 'export default {')
    await writeFile(join(models, 'thrown.mjs'), 'throw new Error("no such weights")')

    const standalone = await started(dataDir.path, { MODELS_DIR: models })
    const shown = await standalone.untilReady()

    const lines = shown.split('\n').filter((line) => line.includes('a model file is not used'))
    expect(lines.toSorted()).toEqual([
      expect.stringMatching(/cut\.mjs(:\d+)?: Unexpected end of input/),
      expect.stringMatching(/thrown\.mjs(:\d+)?: no such weights/),
    ])
  })

  test('a port that is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    onTestFinished(() => void other.close())
    const { port } = other.address() as AddressInfo
    const dataDir = await givenDataDir()

    const standalone = await started(dataDir.path, { PORT: `${port}` })

    expect(await standalone.exited).toBe(1)
    expect(standalone.shown()).toContain(`PORT ${port} on 127.0.0.1 is taken`)
    expect(standalone.shown()).not.toMatch(/^\s+at /m)
  })

  test('a data folder that cannot be written', async () => {
    // Root may write anywhere but where the kernel itself refuses.
    const isRoot = process.getuid?.() === 0
    const folder = isRoot ? '/sys/kernel' : (await givenDataDir()).path
    if (!isRoot) await chmod(folder, 0o500)

    const standalone = await started(`${folder}/millrace`)

    expect(await standalone.exited).toBe(1)
    expect(standalone.shown()).toContain(`DATA_DIR cannot be written: ${folder}/millrace`)
    expect(standalone.shown()).toContain('DATA_DIR=')
  })

  test.runIf(process.platform === 'linux')('a data folder where the system lets none be made', async () => {
    const standalone = await started('/proc/millrace/data')

    expect(await standalone.exited).toBe(1)
    expect(standalone.shown()).toContain('DATA_DIR cannot be written: /proc/millrace/data')
  })

  test('a kept key that cannot be read is left as it is', async () => {
    const dataDir = await givenDataDir()
    await mkdir(join(dataDir.path, 'master-key')) // unlike a mode, a folder in its place stops root as well

    const standalone = await started(dataDir.path)

    expect(await standalone.exited).toBe(1)
    expect(standalone.shown()).toContain(`${join(dataDir.path, 'master-key')} cannot be read`)
    expect((await stat(join(dataDir.path, 'master-key'))).isDirectory()).toBe(true)
  })

  test('every wrong setting at once', async () => {
    const dataDir = await givenDataDir()
    const standalone = await started(dataDir.path, { PORT: 'http', LOG_LEVEL: 'loud', MASTER_KEY: 'short' })

    expect(await standalone.exited).toBe(1)
    for (const name of ['PORT', 'LOG_LEVEL', 'MASTER_KEY']) expect(standalone.shown()).toContain(`${name}: `)
  })

  test('a data folder that is in use', async () => {
    const { path } = first.dataDir
    const { port } = new URL(first.standalone.url)

    for (const wanted of [Number(port), Number(port) + 7]) {
      const second = await started(path, { PORT: `${wanted}` })

      expect(await second.exited).toBe(1)
      expect(second.shown()).toContain(
        `Millrace already runs on ${path} at ${first.standalone.url} (process `,
      )
      const free = wanted === Number(port) ? wanted + 1 : wanted
      expect(second.shown()).toContain(`PORT=${free} DATA_DIR=${path}-2 npm start`)
    }
  })

  test('a database of another PostgreSQL, with the commands that take it over', async () => {
    const dataDir = await givenUsedDataDir()
    const { folder } = JSON.parse(await dataDir.read('postgres.json'))
    await writeFile(join(folder, 'PG_VERSION'), '17\n')
    const log = await dataDir.read('postgres.log')

    const second = await started(dataDir.path)

    expect(await second.exited).toBe(1)
    expect(second.shown()).toContain(
      `The database in ${folder} is of PostgreSQL 17; this release brings PostgreSQL 18, which cannot read it.`,
    )
    const { path } = dataDir
    for (const command of [
      `DATA_DIR=${path} npm run backup -- ${path}-backup`,
      `mv ${path} ${path}-postgresql-17`,
      `DATA_DIR=${path} npm run restore -- ${path}-backup`,
    ]) {
      expect(second.shown()).toContain(command)
    }
    expect(await dataDir.read('postgres.log'), 'no server was started on it').toBe(log)
  })
})

test('each change to the models is told in one line, which api and worker do not both say', {
  timeout: 90_000,
}, async () => {
  const dataDir = await givenUsedDataDir()
  const models = join(dataDir.path, 'models')
  await mkdir(models)
  const file = join(models, 'shout.mjs')
  const model = (says: string, more = '') =>
    `export default { namespace: 'shout', type: 'text', input_schema: { type: 'object' }, ${more} run: () => '${says}' }`
  // Whole at once: half a file is another mistake.
  const write = async (text: string) => {
    await writeFile(`${file}.new`, text)
    await rename(`${file}.new`, file)
  }
  const standalone = await started(dataDir.path, { MODELS_DIR: models })
  const begun = (await standalone.untilReady()).length
  const lines = () =>
    standalone
      .shown()
      .slice(begun)
      .split('\n')
      .filter((line) => line.includes('shout'))
      .map((line) =>
        line
          .trim()
          .replace(/^[\d:]+ /, '')
          .replaceAll(file, 'FILE'),
      )
  const expected: unknown[] = []
  async function after(change: Promise<unknown>, line: unknown) {
    await change
    expected.push(line)
    await until(() => lines().length >= expected.length, { within: 20_000, what: `line ${expected.length}` })
    expect(lines()).toEqual(expected)
  }

  await after(write(model('A')), '+ shout (text) from FILE is ready')
  await after(write(model('B')), '~ shout (text) from FILE has changed')
  const broken = expect.stringMatching(/^(api|worker) a model file is not used: FILE(:1)?: /)
  // What is mended before a process has looked was never broken to it.
  const seenByBoth = (times: number) =>
    until(
      async () =>
        (await dataDir.read('millrace.log')).match(/a model file is not used/g)?.length === 2 * times,
      { within: 20_000, what: 'api and worker to see the mistake' },
    )
  await after(write('export default {'), broken)
  await seenByBoth(1)
  await after(write(model('B')), '+ FILE is good again')
  await after(write('export default {'), broken)
  await seenByBoth(2)
  const lacking = model('C', "requires: ['NO_SUCH_WORD'],")
  await after(write(lacking), '! shout (text) from FILE is not served: NO_SUCH_WORD is not set')
  await after(write(model('C')), '+ shout (text) from FILE is ready')
  await after(rm(file), '- shout is gone')
})

describe.runIf(process.platform === 'linux')('stopping and starting again', () => {
  test('Ctrl-C leaves no process; the next start has nothing to set up and finds everything as it was', async () => {
    const setUp = [/Making the database/, /Brought the database up to date \(\d+ migrations?\)/]
    for (const step of setUp) expect(first.banner).toMatch(step)
    const dataDir = await givenUsedDataDir()
    const stopped = await started(dataDir.path)
    const shownNext = await stopped.untilReady()
    for (const step of setUp) expect(shownNext).not.toMatch(step)
    const apiKey = await dataDir.read('api-key')
    const { id } = (await (await request(stopped, '/v1/predictions', apiKey, echo)).json()) as { id: string }
    expect((await processesOf(dataDir.path)).length).toBeGreaterThan(3)

    stopped.signal('SIGINT')
    expect(await stopped.exited).toBe(0)
    expect(await processesOf(dataDir.path)).toEqual([])

    const second = await started(dataDir.path)
    const shownAgain = await second.untilReady()
    for (const step of setUp) expect(shownAgain).not.toMatch(step)
    const found = await request(second, `/v1/predictions/${id}`, apiKey)
    expect(await found.json()).toMatchObject({ id, status: 'succeeded' })
  })

  test.for([
    ['a terminal that is closed', (it: Standalone) => it.signalGroup('SIGHUP')],
    [
      'SIGTERM for the whole group while nobody reads',
      (it: Standalone) => {
        it.stopReading()
        it.signalGroup('SIGTERM')
        it.signalGroup('SIGTERM')
      },
    ],
    [
      'kill -9 of the launcher while nobody reads',
      (it: Standalone) => {
        it.stopReading()
        it.signal('SIGKILL')
      },
    ],
  ] as const)('%s ends every process, the database in order', async ([, end]) => {
    const dataDir = await givenUsedDataDir()
    const launched = await runLauncher(dataDir.path)
    onTestFinished(() => endLeftovers(dataDir.path))
    await launched.untilReady()
    expect(await databaseOf(dataDir.path)).toHaveLength(1)

    end(launched)

    await launched.exited
    await until(async () => (await processesOf(dataDir.path)).length === 0, {
      within: 15_000,
      what: 'every process to end',
    })
    expect(await readFile(join(dataDir.path, 'postgres.log'), 'utf8')).toContain(
      'database system is shut down',
    )
    expect(await readFile(join(dataDir.path, 'millrace.log'), 'utf8')).not.toContain('died')
  })

  test('key files that were lost are made anew, and what they hold is let in', async () => {
    const dataDir = await givenUsedDataDir()
    const lost = await dataDir.read('api-key')
    for (const file of ['api-key', 'admin-key']) await rm(join(dataDir.path, file))

    const second = await started(dataDir.path)
    const banner = await second.untilReady()

    const apiKey = await dataDir.read('api-key')
    expect(apiKey).not.toBe(lost)
    expect(banner).toContain(apiKey)
    for (const key of [apiKey, lost, await dataDir.read('admin-key')]) {
      expect((await request(second, '/v1/predictions', key)).status).toBe(200)
    }
  })

  test('a master key that was lost is missed, and what it sealed is not given up', async () => {
    const dataDir = await givenUsedDataDir()
    const masterKey = await dataDir.read('master-key')
    await rm(join(dataDir.path, 'master-key'))

    const second = await started(dataDir.path)
    await second.exited
    expect(second.shown()).toContain('The master key is not the one that this database was made with.')

    await writeFile(join(dataDir.path, 'master-key'), masterKey)
    const third = await started(dataDir.path)
    expect(await third.untilReady()).toContain('Millrace is running')
  })

  test('a worker that is killed is started again', async () => {
    const dataDir = await givenUsedDataDir()
    const standalone = await started(dataDir.path)
    await standalone.untilReady()
    const worker = async () =>
      (await processesOf(dataDir.path))
        .find((line) => line.includes('/apps/worker/src/main.ts'))
        ?.split(' ')[0]
    const killed = await worker()
    process.kill(Number(killed), 'SIGKILL')
    await until(async () => ![undefined, killed].includes(await worker()), { what: 'another worker' })

    const made = await request(standalone, '/v1/predictions', await dataDir.read('api-key'), echo)
    expect(await made.json()).toMatchObject({ status: 'succeeded' })
    expect(await readFile(join(dataDir.path, 'millrace.log'), 'utf8')).toContain('the worker died (SIGKILL)')
  })
})
