import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { type ApiCaller, callerOf } from './api-caller.ts'
import type { Environment, RunningProcess } from './harness/processes.ts'
import { type Service, startService } from './harness/service.ts'
import { until } from './harness/wait.ts'

/** A service whose models run at hosts: of the kind of test/hosts/jobs-kind.ts where they say `cog`. Stopped with the test. */
export async function givenRemoteModels(
  models: Record<string, RemoteModel>,
  options: Partial<Options> = {},
): Promise<RemoteService> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-hosts-'))
  await writeModels(folder, models)
  const service = await startRemoteService(options, folder)
  onTestFinished(() => service.stop())
  return service
}

/** The same for all tests of a file, each of which brings models of its own. Whoever starts it stops it. */
export async function startRemoteService(
  { queue = 'redis', env = {}, ...counts }: Partial<Options> = {},
  given?: string,
): Promise<RemoteService> {
  const folder = given ?? (await mkdtemp(join(tmpdir(), 'millrace-hosts-')))
  const kind = new URL('./hosts/jobs-kind.ts', import.meta.url).href
  const service = await startService({
    queue,
    ...counts,
    env: {
      MODELS_DIR: folder,
      NODE_OPTIONS: `--import=${kind}`,
      SWEEP_SECONDS: '0.2',
      CANCEL_GRACE_SECONDS: '5',
      ...env,
    },
  })
  const call = callerOf(service.url, service.apiKey)
  return {
    ...service,
    call,
    async create(model, given = {}) {
      const { status, body, text } = await call('POST /v1/predictions', {
        body: { model, input: {}, ...given },
      })
      if (status !== 201) throw new Error(text)
      return body.id
    },
    async serve(models) {
      const readers = service.processes.filter((one) => one.app !== 'dispatcher' && !one.ended())
      const files = await writeModels(folder, models)
      onTestFinished(async () => void (await Promise.all(files.map((file) => rm(file, { force: true })))))
      const names = Object.keys(models)
      await until(() => readers.every((reader) => reader.ended() || hasRead(reader, names)), {
        within: 20_000,
        what: 'the models to be read',
      })
    },
    async startWorker(name, own = {}) {
      const worker = await service.start('worker', { WORKER_NAME: name, ...own })
      onTestFinished(() => worker.kill())
      return worker
    },
    async stop() {
      await service.stop().finally(() => rm(folder, { recursive: true, force: true }))
    },
  }
}

async function writeModels(folder: string, models: Record<string, RemoteModel>): Promise<string[]> {
  return Promise.all(
    Object.entries(models).map(async ([name, model]) => {
      const file = join(folder, `${name.replaceAll('/', '_')}.json`)
      const whole = { namespace: name, type: 'data', input_schema: { type: 'object' }, ...model }
      await writeFile(`${file}.new`, JSON.stringify(whole))
      await rename(`${file}.new`, file)
      return file
    }),
  )
}

/** It says so when it has taken up a change: an api all of it, a worker model by model. */
function hasRead({ log }: RunningProcess, names: string[]): boolean {
  const text = log()
  const read = [...text.matchAll(/"added":(\[.*?\])/g)].flatMap(([, added = '[]']) => JSON.parse(added))
  const told = [...text.matchAll(/"mark":"[+!]","model":"(.*?)"/g)].map(([, name]) => name)
  return names.every((name) => read.includes(name) || told.includes(name))
}

/** What a model's file says beside the fields that all have here. */
export type RemoteModel = Record<string, unknown> & { provider: Record<string, unknown> }

/** A service and its client. */
export interface RemoteService extends Service {
  call: ApiCaller
  /** Creates a prediction and answers its id. */
  create(model: string, given?: Record<string, unknown>): Promise<string>
  /** Serves these models, too, until the test ends. Answers when every api and worker knows them. */
  serve(models: Record<string, RemoteModel>): Promise<void>
  /** One more worker, killed with the test if not before. */
  startWorker(name: string, own?: Environment): Promise<RunningProcess>
}

interface Options {
  queue: 'redis' | 'postgres'
  env: Environment
  apis: number
  workers: number
  dispatchers: number
}
