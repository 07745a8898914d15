import type { CreateRequest } from '../contender.ts'
import { percentiles } from '../latencies.ts'
import { startMillrace } from '../millrace.ts'
import { createRequest } from '../requests.ts'
import { type Figures, using, type Work } from '../work.ts'
import { type Answers, flood, wrk } from '../wrk.ts'

/**
 * Creates leave three times as often as they can be accepted, whether they are answered or not; then they stop. Answers
 * that come late use up the connections: what was really sent stands in the table.
 */
export const overload: Work = {
  name: 'overload',
  title: 'Three times as many creates as can be accepted, 1,500 connections',
  columns: {
    peak: 'peak (requests/s)',
    sent: 'sent (% of peak)',
    goodput: 'accepted (% of peak)',
    refused: 'refused (%)',
    p50: 'refusal, p50 (ms)',
    p99: 'refusal, p99 (ms)',
    recovery: 'normal again after (s)',
  },
  rows: [
    {
      name: 'Millrace (Redis)',
      measure: async (stores, { seconds }) =>
        using(await startMillrace(stores, { onRedis: true, apps: ['api'] }), (service) =>
          overloaded(createRequest(service), seconds),
        ),
    },
  ],
}

/** An api lets 500 creates wait, so fewer connections would never be refused. */
const connections = 1_500

/** What saturates an api several times over: more at once does not make it faster. */
const saturating = 128

async function overloaded(request: CreateRequest, seconds: number): Promise<Figures> {
  await wrk(request, 5)
  const { p99: usual } = await wrk(request, seconds)
  const { perSecond: peak } = await wrk(request, seconds, saturating)
  const answers = await flood(request, { seconds, connections, perSecond: 3 * peak })
  const recovery = await untilUsual(request, usual)

  const accepted = answers.filter(([status]) => status === 201)
  const refused = answers.filter(([status, retryAfter]) => retryAfter && (status === 429 || status === 503))
  const total = countOf(answers)
  const wrong = total - countOf(accepted) - countOf(refused)
  if (wrong > 0)
    throw new Error(`${wrong} requests were answered otherwise than with 201, or 429 or 503 with Retry-After`)
  const { p50, p99 } = percentiles(refused.flatMap(([, , took, count]) => Array<number>(count).fill(took)))
  return {
    peak,
    sent: (100 * total) / seconds / peak,
    goodput: (100 * countOf(accepted)) / seconds / peak,
    refused: (100 * countOf(refused)) / total,
    p50,
    p99,
    recovery,
  }
}

function countOf(answers: Answers[]): number {
  return answers.reduce((sum, [, , , count]) => sum + count, 0)
}

/** Seconds until a second of the usual load is answered as fast as before. */
async function untilUsual(request: CreateRequest, usual: number): Promise<number> {
  const begun = performance.now()
  for (;;) {
    const at = (performance.now() - begun) / 1000
    const { p99, failed } = await wrk(request, 1)
    if (failed === 0 && p99 <= 1.5 * usual) return at
    if (at > 60) throw new Error(`a minute later the p99 is still ${p99} ms, and was ${usual} ms before`)
  }
}
