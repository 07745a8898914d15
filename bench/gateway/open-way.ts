import { freePort } from '@millrace/standalone/ports'
import { startProcess } from '../processes.ts'
import type { Stores } from '../stores.ts'
import { using } from '../work.ts'
import type { Target } from './connection.ts'
import { chatBody, type Kind } from './conversation.ts'
import { load } from './load.ts'
import { direct, type Way } from './ways.ts'

/** Starts a host, opens a way to it, and lets both get warm for so long with the requests that come; then measures. */
export async function throughWay<T>(
  way: Way,
  { stores, kind, warmUpSeconds = 5 }: WayOptions,
  measure: (warm: WarmWay) => Promise<T>,
): Promise<T> {
  const port = await freePort()
  const host = await startProcess('bench/gateway/upstream.ts', {
    args: [`${port}`],
    env: {},
    readyUrl: `http://127.0.0.1:${port}/`,
  })
  const hostUrl = `http://127.0.0.1:${port}/v1`
  const body = chatBody(kind)
  return using(host, async () =>
    using(await way.open(stores, hostUrl), async ({ path, pid }) => {
      const straight = await direct.open(stores, hostUrl)
      const target = { ...path, body }
      // Of paced answers so few come in that time that nothing would be compiled.
      const fast: Kind = kind === 'paced' ? 'streamed' : kind
      const warming = { ...path, body: chatBody(fast) }
      await load({ targets: [warming], kind: fast, connections: 32, seconds: warmUpSeconds })
      return measure({ target, straight: { ...straight.path, body }, pid })
    }),
  )
}

interface WayOptions {
  stores: Stores
  kind: Kind
  warmUpSeconds?: number
}

export interface WarmWay {
  target: Target
  /** The same request, straight to the host. */
  straight: Target
  pid: number | undefined
}
