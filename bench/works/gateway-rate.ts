import { callers } from '../contender.ts'
import type { Kind } from '../gateway/conversation.ts'
import { type Loaded, load } from '../gateway/load.ts'
import { throughWay } from '../gateway/open-way.ts'
import { direct, millrace, portkey } from '../gateway/ways.ts'
import { processorMs } from '../process-figures.ts'
import type { Figures, Row, Work } from '../work.ts'

/** `direct` is what the host and the load can do together: a gateway beside it is measured and not they. */
export const jsonRate: Work = {
  name: 'gateway-json-32',
  title: 'Chat completions a second through a gateway, 32 connections (JSON)',
  columns: {
    rate: 'requests/s',
    p50: 'p50 (ms)',
    p99: 'p99 (ms)',
    cpu: "CPU of the gateway's process for each (ms)",
  },
  rows: rowsOf('json', ({ took }) => ({ p50: took.p50, p99: took.p99 })),
}

export const streamRate: Work = {
  name: 'gateway-stream-32',
  title: 'Streamed chat completions of 50 chunks a second through a gateway, 32 connections',
  columns: {
    rate: 'requests/s',
    first: 'to the first chunk, p50 (ms)',
    firstP99: 'p99 (ms)',
    p50: 'to the end, p50 (ms)',
    p99: 'p99 (ms)',
    cpu: "CPU of the gateway's process for each (ms)",
  },
  rows: rowsOf('streamed', ({ took, first }) => ({
    first: first.p50,
    firstP99: first.p99,
    p50: took.p50,
    p99: took.p99,
  })),
}

function rowsOf(kind: Kind, figures: (loaded: Loaded) => Figures): Row[] {
  return [millrace, portkey, direct].map((way) => ({
    name: way.name,
    measure: (stores, { seconds }) =>
      throughWay(way, { stores, kind }, async ({ target, pid }) => {
        const spentMs = async () => (pid === undefined ? 0 : await processorMs(pid))
        const before = await spentMs()
        const [loaded] = await load({ targets: [target], kind, connections: callers, seconds })
        if (!loaded) throw new Error('the load told nothing')
        const cpu = ((await spentMs()) - before) / loaded.sent
        return { rate: loaded.perSecond, ...figures(loaded), cpu }
      }),
  }))
}
