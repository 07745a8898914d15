import { freePort } from '@millrace/standalone/ports'
import type { Contender } from '../contender.ts'
import { postMany } from '../post.ts'
import { startProcess } from '../processes.ts'

/** Express that parses a body and sends it back: the most that any Express API can accept. */
export const bareExpress: Contender = {
  name: 'bare Express echo',
  async start() {
    const port = await freePort()
    const url = `http://127.0.0.1:${port}/v1/predictions`
    const echo = await startProcess('bench/baselines/echo.ts', {
      env: { PORT: `${port}` },
      readyUrl: `http://127.0.0.1:${port}/readyz`,
    })
    let done = 0
    const request = () => ({
      url,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'noop', input: { prompt: 'nothing much' } }),
    })
    return {
      request,
      async load(count) {
        await postMany(request(), count)
        done += count
      },
      done: async () => done,
      stop: () => echo.stop(),
    }
  },
}
