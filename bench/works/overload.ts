import { setTimeout as delay } from 'node:timers/promises'
import { Pool } from 'undici'
import type { CreateRequest } from '../contender.ts'
import { percentiles } from '../latencies.ts'
import { type Millrace, startMillrace } from '../millrace.ts'
import { createRequest } from '../requests.ts'
import { type Figures, using, type Work } from '../work.ts'
import { wrk } from '../wrk.ts'

/** Requests come three times as fast as they can be accepted, whether they are answered or not; then they stop. */
export const overload: Work = {
  name: 'overload',
  title: 'Three times as many creates as can be accepted',
  columns: {
    peak: 'peak (requests/s)',
    goodput: 'accepted (% of peak)',
    refused: 'refused (%)',
    refusal: 'refusal, p99 (ms)',
    recovery: 'normal again after (s)',
  },
  rows: [
    {
      name: 'Millrace (Redis)',
      measure: async (stores, { seconds }) =>
        using(await startMillrace(stores, { onRedis: true, apps: ['api'] }), (service) =>
          flood(service, seconds),
        ),
    },
  ],
}

async function flood(service: Millrace, seconds: number): Promise<Figures> {
  const request = createRequest(service)
  await wrk(request, 2)
  const { perSecond: peak, p99: usual } = await wrk(request, seconds)
  const pool = new Pool(service.url, { connections: 1_000 })
  const accepted: number[] = []
  const refused: number[] = []
  let wrong = 0
  const underWay = new Set<Promise<void>>()
  async function send(): Promise<void> {
    const begun = performance.now()
    const { statusCode, headers, body } = await pool.request({
      path: '/v1/predictions',
      method: 'POST',
      headers: request.headers,
      body: request.body,
    })
    await body.dump()
    const took = performance.now() - begun
    if (statusCode === 201) accepted.push(took)
    else if ((statusCode === 503 || statusCode === 429) && headers['retry-after']) refused.push(took)
    else wrong++
  }
  const begun = performance.now()
  for (let sent = 0; performance.now() - begun < seconds * 1000; ) {
    const due = Math.floor(((performance.now() - begun) / 1000) * 3 * peak)
    for (; sent < due; sent++) {
      const one = send()
        .catch(() => void wrong++)
        .finally(() => underWay.delete(one))
      underWay.add(one)
    }
    await delay(1)
  }
  const inTime = accepted.length
  await Promise.all(underWay)
  if (wrong > 0)
    throw new Error(`${wrong} requests were answered otherwise than with 201, 429 or 503 with Retry-After`)
  const recovery = await untilUsual(request, usual)
  await pool.close()
  return {
    peak,
    goodput: (100 * inTime) / seconds / peak,
    refused: (100 * refused.length) / (accepted.length + refused.length),
    refusal: refused.length > 0 ? percentiles(refused).p99 : 0,
    recovery,
  }
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
