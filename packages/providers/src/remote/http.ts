import type { Kind } from './open-remote.ts'

/** Any JSON endpoint: the input is the body, and the answer is the output. */
export const http: Kind<'http'> = {
  wants: 'addresses',
  async perform({ input, settings, ask, rehost, emit }) {
    emit({ kind: 'ready' })
    const { url, method, headers } = settings
    const { body } = await ask({
      url,
      method,
      headers,
      ...(method === 'GET' ? {} : { json: input }),
      patient: true,
    })
    return rehost.all(body)
  },
}
