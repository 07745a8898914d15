import { callers } from '../contender.ts'
import { load } from '../gateway/load.ts'
import { throughWay } from '../gateway/open-way.ts'
import { millrace, portkey } from '../gateway/ways.ts'
import { residentMb } from '../process-figures.ts'
import type { Figures, Work } from '../work.ts'

/** A look after every thousand requests. What leaks shows in the slope of the second half, when caches are full. */
export const gatewayMemory: Work = {
  name: 'gateway-memory',
  title:
    "Memory of the gateway's process over --requests streamed chat completions of 50 chunks (RSS, in megabytes)",
  columns: {
    start: 'warm',
    first: 'first fifth',
    second: 'second',
    third: 'third',
    fourth: 'fourth',
    last: 'last fifth',
    most: 'most',
    slope: 'slope (KB a thousand requests)',
    lateSlope: 'slope of the second half',
  },
  rows: [millrace, portkey].map((way) => ({
    name: way.name,
    once: true,
    measure: (stores, { requests }) =>
      throughWay(way, { stores, kind: 'streamed' }, async ({ target, pid = 0 }) => {
        const start = await residentMb(pid)
        const looks: number[] = []
        await load({ targets: [target], kind: 'streamed', connections: callers, requests }, async () => {
          looks.push(await residentMb(pid))
        })
        if (looks.length < 10) throw new Error('--requests must be 10000 or more for a slope')
        return { start, ...summaryOf(looks) }
      }),
  })),
}

function summaryOf(looks: number[]): Figures {
  const fifth = (nth: number) =>
    mean(looks.slice(Math.floor((nth * looks.length) / 5), Math.floor(((nth + 1) * looks.length) / 5)))
  return {
    first: fifth(0),
    second: fifth(1),
    third: fifth(2),
    fourth: fifth(3),
    last: fifth(4),
    most: Math.max(...looks),
    slope: slopeOf(looks) * 1024,
    lateSlope: slopeOf(looks.slice(looks.length >> 1)) * 1024,
  }
}

/** Of the straight line with the least squares, for each step. */
function slopeOf(values: number[]): number {
  const middle = (values.length - 1) / 2
  const height = mean(values)
  const along = values.reduce((sum, value, nth) => sum + (nth - middle) * (value - height), 0)
  return along / values.reduce((sum, _, nth) => sum + (nth - middle) ** 2, 0)
}

function mean(values: number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
