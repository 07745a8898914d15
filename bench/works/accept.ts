import type { Contender } from '../contender.ts'
import { bareExpress } from '../contenders/bare-express.ts'
import { millraceEmbedded, millraceMetered, millraceOnRedis } from '../contenders/millrace.ts'
import { plain } from '../contenders/plain.ts'
import { using, type Work } from '../work.ts'
import { wrk } from '../wrk.ts'

const columns = { rate: 'requests/s', p50: 'p50 (ms)', p99: 'p99 (ms)' }

export const acceptWhileRunning: Work = {
  name: 'accept',
  title: 'Accepted a second, 32 connections, workers running',
  columns,
  rows: [millraceOnRedis, millraceMetered, millraceEmbedded, plain].map((contender) => row(contender, false)),
}

export const acceptWhilePaused: Work = {
  name: 'accept-paused',
  title: 'Accepted a second, 32 connections, workers paused',
  columns,
  rows: [millraceOnRedis, millraceEmbedded, plain, bareExpress].map((contender) => row(contender, true)),
}

function row(contender: Contender, paused: boolean): Work['rows'][number] {
  return {
    name: contender.name,
    measure: async (stores, { seconds }) =>
      using(await contender.start(stores, { paused }), async (running) => {
        const request = running.request?.()
        if (!request) throw new Error(`${contender.name} has no API`)
        await wrk(request, 5)
        const { perSecond, p50, p99, failed } = await wrk(request, seconds)
        if (failed > 0) throw new Error(`${failed} requests failed`)
        return { rate: perSecond, p50, p99 }
      }),
  }
}
