import { jitter, schedule } from '@millrace/webhooks/schedule'
import type { Answer } from '../../harness/receiver.ts'

/** What receivers do with each delivery, and what must come of it. */
export function behaviours(elsewhere: string): Behaviour[] {
  const redirect: Answer = { status: 301, headers: { location: elsewhere } }
  return [
    { name: '500 three times', each: 4, answers: times(3, { status: 500 }), waits: steps(1, 2, 3) },
    { name: 'hangs', each: 4, answers: [{ hang: true }], waits: steps(1) },
    { name: '301', each: 4, answers: [redirect], waits: steps(1) },
    { name: '410', each: 4, answers: [{ status: 410 }], events: ['started', 'completed'], state: 'dropped' },
    { name: '429 with patience asked for', each: 4, answers: [later(8)], waits: [[8, 8]] },
    { name: '429 with too much asked for', each: 4, answers: [later(86_400)], waits: [[10, 10]] },
    // Seven silences a host: at ten the breaker would let it rest, which is another matter.
    { name: 'dead for a day', each: 1, answers: times(7, { cut: true }), waits: steps(1, 2, 3, 4, 5, 6, 7) },
  ]
}

function later(seconds: number): Answer {
  return { status: 429, headers: { 'retry-after': `${seconds}` } }
}

function times(count: number, answer: Answer): Answer[] {
  return Array.from({ length: count }, () => answer)
}

/** The waits of these steps of the schedule, with their jitter. */
function steps(...which: number[]): Bounds[] {
  return which.map((nth) => {
    const step = schedule[nth] ?? 0
    return [step * (1 - jitter), step * (1 + jitter)]
  })
}

export interface Behaviour {
  name: string
  /** How many predictions a receiver of this kind is told of. */
  each: number
  /** What each prediction tells; its end unless told otherwise. */
  events?: string[]
  /** What the first copies of a delivery are answered with; all that follow are taken. */
  answers: Answer[]
  /** How long a delivery waits before each next attempt, in seconds; none is the end after one. */
  waits?: Bounds[]
  /** How it ends; delivered unless told otherwise. */
  state?: string
}

type Bounds = readonly [least: number, most: number]
