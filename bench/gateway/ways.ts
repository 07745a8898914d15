import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '@millrace/standalone/ports'
import { startMillrace } from '../millrace.ts'
import { startProcess } from '../processes.ts'
import type { Stores } from '../stores.ts'

/** Straight to the host. */
export const direct: Way = {
  name: 'direct',
  open: async (_, host) => ({
    path: { url: `${host}/chat/completions`, headers: plain },
    stop: async () => {},
  }),
}

/** Through this service: a key is looked up, a model found, and every call is written down in PostgreSQL. */
export const millrace: Way = {
  name: 'Millrace (Redis)',
  async open(stores, host) {
    const folder = await mkdtemp(join(tmpdir(), 'millrace-bench-models-'))
    const model = {
      namespace: 'bench',
      type: 'text',
      apis: ['chat'],
      provider: { kind: 'openai', base_url: host },
    }
    await writeFile(join(folder, 'bench.json'), JSON.stringify(model))
    const removeFolder = () => rm(folder, { recursive: true })
    const service = await startMillrace(stores, {
      onRedis: true,
      apps: ['api'],
      env: { MODELS_DIR: folder },
    }).catch(async (error) => {
      await removeFolder()
      throw error
    })
    const headers = { ...plain, authorization: `Bearer ${service.apiKey}` }
    return {
      path: { url: `${service.url}/v1/chat/completions`, headers },
      ...(service.processes[0] && { pid: service.processes[0].pid }),
      async stop() {
        await service.stop()
        await removeFolder()
      },
    }
  },
}

/** Through the gateway of Portkey: its own program, mended where it has to be, with Node's own settings. It keeps nothing. */
export const portkey: Way = {
  name: 'Portkey',
  async open(_, host) {
    const port = await freePort()
    const url = `http://127.0.0.1:${port}`
    const { pid, stop } = await startProcess(
      import.meta.resolve('@portkey-ai/gateway/build/start-server.js'),
      {
        args: [`--port=${port}`, '--headless'],
        flags: [
          '--disable-warning=ExperimentalWarning',
          '--import',
          import.meta.resolve('./mend-portkey.ts'),
        ],
        env: { TRUSTED_CUSTOM_HOSTS: '127.0.0.1' },
        readyUrl: url,
      },
    )
    const headers = { ...plain, 'x-portkey-provider': 'openai', 'x-portkey-custom-host': host }
    return { path: { url: `${url}/v1/chat/completions`, headers }, pid, stop }
  },
}

const plain = { authorization: 'Bearer a-key-of-the-bench', 'content-type': 'application/json' }

/** A way to a host of models. */
export interface Way {
  name: string
  /** Opens it to the host at this URL, which ends in /v1. */
  open(stores: Stores, host: string): Promise<OpenWay>
}

export interface OpenWay {
  path: { url: string; headers: Record<string, string> }
  /** The process that passes on what comes; undefined where there is none. */
  pid?: number
  stop(): Promise<void>
}
