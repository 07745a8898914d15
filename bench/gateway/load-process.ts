import { percentiles } from '../latencies.ts'
import { openConnection } from './connection.ts'
import type { Loaded, Plan } from './load.ts'

// The load, in a process of its own. Each connection sends its next request when the answer to the last one is whole.
// Several targets take turns of half a second, so that whatever else the machine does falls on all of them alike.
const plan = JSON.parse(process.argv[2] ?? '') as Plan
const {
  targets,
  kind,
  connections,
  seconds = Number.POSITIVE_INFINITY,
  requests = Number.POSITIVE_INFINITY,
} = plan
const say = (what: unknown) => process.stdout.write(`${JSON.stringify(what)}\n`)

const sides = await Promise.all(
  targets.map(async (target) => ({
    open: await Promise.all(Array.from({ length: connections }, () => openConnection(target, kind))),
    sent: 0,
    ...nothing(),
  })),
)
const turnMs = targets.length > 1 ? 500 : Number.POSITIVE_INFINITY
// A million latencies more would say nothing, and take memory from what is measured.
const keepsLatencies = Number.isFinite(seconds)

type Side = (typeof sides)[number]
const isOver = ({ spentMs, count }: Side) => spentMs >= seconds * 1000 || count >= requests

// What this process does for the first time takes longer than any host.
if (keepsLatencies) {
  for (const side of sides) await takeTurn(side, 500)
  for (const side of sides) Object.assign(side, nothing())
}
while (!sides.every(isOver)) {
  for (const side of sides)
    if (!isOver(side)) await takeTurn(side, Math.min(turnMs, seconds * 1000 - side.spentMs))
}
say(sides.map(resultOf))
process.exit()

async function takeTurn(side: Side, forMs: number): Promise<void> {
  const begun = performance.now()
  let left = requests - side.count
  await Promise.all(
    side.open.map(async (connection) => {
      while (performance.now() - begun < forMs && left-- > 0) {
        const { took, first, chunks } = await connection.exchange()
        side.sent++
        side.count++
        if (side.count % 1_000 === 0) say({ done: side.count })
        if (!keepsLatencies) continue
        side.took.push(took)
        side.first.push(first)
        for (const chunk of chunks) side.chunks.push(chunk)
      }
    }),
  )
  side.spentMs += performance.now() - begun
}

function nothing(): Omit<Measured, 'sent'> {
  return { count: 0, spentMs: 0, took: [], first: [], chunks: [] }
}

function resultOf({ took, first, chunks, count, sent, spentMs }: Measured): Loaded {
  return {
    sent,
    perSecond: count / (spentMs / 1000),
    took: percentiles(took),
    first: percentiles(first),
    chunk: percentiles(chunks),
  }
}

interface Measured {
  sent: number
  count: number
  spentMs: number
  took: number[]
  first: number[]
  chunks: number[]
}
