import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Service, startService } from './harness/service.ts'
import { startChatHost } from './hosts/chat.ts'

/** An api with a model for each call of a table, and the host of them all, which does what `script` says. */
export async function startPlanned<Call>({
  calls,
  script,
  modelOf,
  described,
}: Planned<Call>): Promise<PlannedService> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-planned-'))
  const host = await startChatHost(script, { address: '0.0.0.0' })
  const { port } = new URL(host.url)
  // Each has an origin of its own, since one that fails a few times is left alone.
  const files = calls.map((call, index) => {
    const base = `http://127.0.${1 + (index >> 8)}.${index & 255}:${port}/v1`
    return writeFile(join(folder, `${modelOf(call)}.yaml`), described(call, base))
  })
  await Promise.all(files)
  const service = await startService({
    queue: 'redis',
    workers: 0,
    dispatchers: 0,
    env: { MODELS_DIR: folder },
  })
  return {
    service,
    async stop() {
      await service.stop()
      host.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

interface Planned<Call> {
  calls: Call[]
  script: Parameters<typeof startChatHost>[0]
  modelOf(call: Call): string
  /** The file of its model, whose host is at this address. */
  described(call: Call, base: string): string
}

export interface PlannedService {
  service: Service
  stop(): Promise<void>
}
