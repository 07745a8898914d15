import type { Kind } from '../gateway/conversation.ts'
import { type Loaded, load } from '../gateway/load.ts'
import { throughWay } from '../gateway/open-way.ts'
import { direct, millrace, portkey, type Way } from '../gateway/ways.ts'
import type { Figures, Row, Work } from '../work.ts'

/** The way and the direct call take turns of half a second: `added` is the difference of their percentiles. */
export const addedToJson: Work = {
  name: 'gateway-json-1',
  title: 'A chat completion through a gateway, one at a time (JSON)',
  columns: {
    rate: 'requests/s',
    p50: 'p50 (ms)',
    p99: 'p99 (ms)',
    addedP50: 'added, p50 (ms)',
    addedP99: 'added, p99 (ms)',
  },
  rows: rowsOf('json', ({ took, perSecond }, other) => ({
    rate: perSecond,
    p50: took.p50,
    p99: took.p99,
    addedP50: took.p50 - other.took.p50,
    addedP99: took.p99 - other.took.p99,
  })),
}

/** The first byte that counts is that of the first text: headers may come before the host has said anything. */
export const addedToStream: Work = {
  name: 'gateway-stream-1',
  title: 'A streamed chat completion of 50 chunks through a gateway, one at a time',
  columns: {
    rate: 'requests/s',
    first: 'to the first chunk, p50 (ms)',
    addedFirst: 'added, p50 (ms)',
    addedFirstP99: 'added, p99 (ms)',
    p50: 'to the end, p50 (ms)',
    addedP50: 'added, p50 (ms)',
    addedP99: 'added, p99 (ms)',
  },
  rows: rowsOf('streamed', ({ took, first, perSecond }, other) => ({
    rate: perSecond,
    first: first.p50,
    addedFirst: first.p50 - other.first.p50,
    addedFirstP99: first.p99 - other.first.p99,
    p50: took.p50,
    addedP50: took.p50 - other.took.p50,
    addedP99: took.p99 - other.took.p99,
  })),
}

/** Each chunk says when it left the host. */
export const addedToChunk: Work = {
  name: 'gateway-chunk',
  title: 'Each chunk of a stream through a gateway, from the host to the client, a chunk every 2 ms',
  columns: {
    p50: 'p50 (ms)',
    p99: 'p99 (ms)',
    addedP50: 'added, p50 (ms)',
    addedP99: 'added, p99 (ms)',
  },
  rows: rowsOf('paced', ({ chunk }, other) => ({
    p50: chunk.p50,
    p99: chunk.p99,
    addedP50: chunk.p50 - other.chunk.p50,
    addedP99: chunk.p99 - other.chunk.p99,
  })),
}

function rowsOf(kind: Kind, figures: (own: Loaded, other: Loaded) => Figures): Row[] {
  return [millrace, portkey, direct].map((way: Way) => ({
    name: way.name,
    measure: (stores, { seconds }) =>
      throughWay(way, { stores, kind }, async ({ target, straight }) => {
        const targets = way === direct ? [target] : [target, straight]
        const [own, other = own] = await load({ targets, kind, connections: 1, seconds })
        if (!own || !other) throw new Error('the load told nothing')
        return figures(own, other)
      }),
  }))
}
