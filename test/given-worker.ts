import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Database } from '@millrace/database/connect'
import { accept, type Draft } from '@millrace/lifecycle/accept'
import { readEvents, type StoredEvent } from '@millrace/lifecycle/events'
import { findPrediction } from '@millrace/lifecycle/find'
import type { PredictionRow } from '@millrace/lifecycle/present'
import { openQueue, type Queue } from '@millrace/queue/open-queue'
import { draft, lifecycleOn } from './given-predictions.ts'
import { freshDatabase } from './harness/database.ts'
import { type Environment, type RunningProcess, startProcess } from './harness/processes.ts'
import { freshRedis } from './harness/redis.ts'
import { until } from './harness/wait.ts'

export const masterKey = 'a master key for tests of the worker'

/** A worker process on a database, a queue and a folder of its own, and models that only these tests need. */
export async function startTestWorker(
  kind: Queue['kind'] = 'redis',
  env: Environment = {},
): Promise<TestWorker> {
  const database = await freshDatabase()
  const folder = await mkdtemp(join(tmpdir(), 'millrace-worker-test-'))
  for (const [name, source] of Object.entries(models)) await writeFile(join(folder, `${name}.mjs`), source)
  const workDir = join(folder, 'work')
  await mkdir(workDir)
  const redis = freshRedis()
  const overRedis = kind === 'redis'
  const storageUrl = pathToFileURL(join(folder, 'files')).href
  const queue = openQueue({
    databaseUrl: database.url,
    name: 'test',
    ...(overRedis ? { redisUrl: redis.url, prefix: redis.prefix } : {}),
  })
  const settings = {
    DATABASE_URL: database.url,
    ...(overRedis ? { REDIS_URL: redis.url, QUEUE_PREFIX: redis.prefix } : {}),
    MASTER_KEY: masterKey,
    PUBLIC_URL: 'http://127.0.0.1:3000',
    STORAGE_URL: storageUrl,
    MODELS_DIR: folder,
    TEST_MODELS: 'true',
    OUTBOUND_LOOPBACK: 'true',
    LEASE_SECONDS: '2',
    CANCEL_GRACE_SECONDS: '1',
    DRAIN_SECONDS: '1',
    WORK_DIR: workDir,
    ...env,
  }
  const worker = await startProcess('worker', settings)
  const { db } = database
  return {
    db,
    queue,
    worker,
    storageUrl,
    workDir,
    startAnother: () => startProcess('worker', settings),
    async create(model, input, given = {}) {
      const made = draft({ model, input, ...given })
      await accept(lifecycleOn(db), [made])
      queue.ring('default', model)
      const find = async () => {
        const row = await findPrediction(db, made.accountId, made.id)
        if (!row) throw new Error('the prediction is gone')
        return row
      }
      return {
        id: made.id,
        find,
        reaches: (...statuses) =>
          until(
            async () => {
              const row = await find()
              return statuses.includes(row.status) && row
            },
            {
              within: 20_000,
              what: `${model} to be ${statuses.join(' or ')}; the worker says:\n${worker.log()}`,
            },
          ),
        events: () => readEvents(db, made.id, 0, 10_000),
      }
    },
    async stop() {
      await worker.kill()
      await queue.close()
      await database.drop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

const models = {
  'slow-start': `export default {
    namespace: 'slow-start', type: 'data', input_schema: { type: 'object' },
    setup: () => new Promise((resolve) => setTimeout(resolve, 60_000)),
    run: () => 'never',
  }`,
  'read-file': `import { readFileSync } from 'node:fs'
  export default {
    namespace: 'read-file', type: 'text',
    input_schema: { type: 'object', properties: { file: { type: 'string', format: 'uri' } } },
    async run({ file, ms }) {
      if (ms) await new Promise((resolve) => setTimeout(resolve, ms))
      return readFileSync(file, 'utf8')
    },
  }`,
  'tell-secret': `export default {
    namespace: 'tell-secret', type: 'text',
    input_schema: { type: 'object', properties: { token: { type: 'string', format: 'password' } } },
    run: ({ token }) => token.split('').reverse().join(''),
  }`,
  'one-picture': `export default {
    namespace: 'one-picture', type: 'image', input_schema: { type: 'object' },
    run: (input, { file }) => file(Buffer.from('not really a picture'), { name: 'one.png' }),
  }`,
  fragile: `export default {
    namespace: 'fragile', type: 'text', input_schema: { type: 'object' }, concurrency: 4,
    async run({ crash, ms }) {
      if (crash) process.kill(process.pid, 'SIGKILL')
      await new Promise((resolve) => setTimeout(resolve, ms))
      return 'fine'
    },
  }`,
  'long-text': `export default {
    namespace: 'long-text', type: 'text', input_schema: { type: 'object' },
    run: () => 'x'.repeat(2_000_000),
  }`,
}

export interface TestWorker {
  db: Database
  queue: Queue
  worker: RunningProcess
  storageUrl: string
  workDir: string
  /** A second worker, with the same settings. */
  startAnother(): Promise<RunningProcess>
  create(model: string, input: Record<string, unknown>, given?: Partial<Draft>): Promise<Created>
  stop(): Promise<void>
}

export interface Created {
  id: string
  find(): Promise<PredictionRow>
  reaches(...statuses: PredictionRow['status'][]): Promise<PredictionRow>
  events(): Promise<StoredEvent[]>
}
