import { leavesJob } from '@millrace/providers/provider'
import { createAskHost } from '@millrace/providers/remote/ask-host'
import { kinds } from '@millrace/providers/remote/kinds'
import type { Kind } from '@millrace/providers/remote/open-remote'

/**
 * A kind of host that takes jobs, for what the service does between a kind and the store: a process that is started with
 * this file has it in place of `cog`. It asks for its job only now and then where it may be called back.
 */
const jobs: Kind<'cog'> = {
  wants: 'addresses',
  async perform({ input, settings, job, keep, signal, emit, ask, callback }) {
    const id = typeof job?.id === 'string' ? job.id : await begin()
    emit({ kind: 'ready' })
    try {
      for (;;) {
        const { body } = await ask({ url: `${settings.url}/jobs/${id}` })
        const { state, output } = body as { state: string; output: unknown }
        if (state === 'done') return output
        await untilReported()
      }
    } catch (error) {
      if (signal.aborted && !leavesJob(signal)) await cancel(id)
      throw error
    }

    async function begin(): Promise<string> {
      const asked = { input, ...(callback ? { callback: callback.url } : {}) }
      const { body } = await ask({ url: `${settings.url}/jobs`, method: 'POST', json: asked })
      const made = body as { id: string }
      await keep?.(made)
      return made.id
    }

    function untilReported(): Promise<void> {
      return new Promise((resolve) => {
        const done = () => {
          clearTimeout(timer)
          stop?.()
          resolve()
        }
        const timer = setTimeout(done, callback ? 60_000 : 50)
        const stop = callback?.listen((body) => {
          emit({ kind: 'log', text: `heard ${JSON.stringify(body)}\n` })
          done()
        })
        signal.addEventListener('abort', done, { once: true })
      })
    }

    async function cancel(name: string): Promise<void> {
      const askAnyway = createAskHost({ signal: AbortSignal.timeout(5_000) })
      await askAnyway({ url: `${settings.url}/jobs/${name}/cancel`, method: 'POST', json: {} })
    }
  },
}

kinds.cog = jobs
