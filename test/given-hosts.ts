import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { type ApiCaller, callerOf } from './api-caller.ts'
import type { Environment } from './harness/processes.ts'
import { type Service, startService } from './harness/service.ts'

/** A service whose models run at hosts: of the kind of test/hosts/jobs-kind.ts where they say `cog`. Stopped with the test. */
export async function givenRemoteModels(
  models: Record<string, RemoteModel>,
  { queue = 'redis', env = {}, ...counts }: Partial<Options> = {},
): Promise<RemoteService> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-hosts-'))
  const file = (name: string) => join(folder, `${name.replaceAll('/', '_')}.json`)
  const write = (name: string, model: RemoteModel) =>
    writeFile(
      file(name),
      JSON.stringify({ namespace: name, type: 'data', input_schema: { type: 'object' }, ...model }),
    )
  await Promise.all(Object.entries(models).map(([name, model]) => write(name, model)))
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
  onTestFinished(async () => {
    await service.stop()
    await rm(folder, { recursive: true, force: true })
  })
  const call = callerOf(service.url, service.apiKey)
  return Object.assign(service, {
    call,
    async create(model: string, given: Record<string, unknown> = {}): Promise<string> {
      const { status, body, text } = await call('POST /v1/predictions', {
        body: { model, input: {}, ...given },
      })
      if (status !== 201) throw new Error(text)
      return body.id
    },
  })
}

/** What a model's file says beside the fields that all have here. */
export type RemoteModel = Record<string, unknown> & { provider: Record<string, unknown> }

/** A service and its client. */
export interface RemoteService extends Service {
  call: ApiCaller
  /** Creates a prediction and answers its id. */
  create(model: string, given?: Record<string, unknown>): Promise<string>
}

interface Options {
  queue: 'redis' | 'postgres'
  env: Environment
  workers: number
  dispatchers: number
}
