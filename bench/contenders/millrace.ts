import type { PlanSettings } from '@millrace/contract/plan'
import type { Contender } from '../contender.ts'
import { type MillraceOptions, startMillrace } from '../millrace.ts'
import { postMany } from '../post.ts'
import { createRequest } from '../requests.ts'

/** This service: one api, one worker and one dispatcher. */
export const millraceOnRedis = millrace('Millrace (Redis)', { onRedis: true })
export const millraceEmbedded = millrace('Millrace (embedded)', { onRedis: false })

/** Every prediction costs something, and its account has limits of every kind, which it never reaches. */
export const millraceMetered = millrace('Millrace (Redis), money and limits', {
  onRedis: true,
  model: 'paid',
  prepare: async ({ pool }) => {
    await pool.query('insert into plans (name, settings) values ($1, $2)', [
      'metered',
      JSON.stringify(metered),
    ])
    await pool.query('update accounts set plan = $1', ['metered'])
  },
})

const metered: PlanSettings = {
  limits: {
    requests: 100_000_000,
    running: 100_000,
    max_waiting: 10_000_000,
    models: { paid: { requests: 100_000_000, running: 100_000 } },
  },
}

function millrace(name: string, { onRedis, model, prepare }: Way): Contender {
  return {
    name,
    async start(stores, { paused = false } = {}) {
      const service = await startMillrace(stores, {
        onRedis,
        ...(paused && { apps: ['api'] }),
        ...(prepare && { prepare }),
      })
      return {
        request: (webhookUrl) => createRequest(service, webhookUrl, model),
        load: (count, webhookUrl) => postMany(createRequest(service, webhookUrl, model), count),
        async done() {
          const { rows } = await service.db.pool.query('select count(*)::integer as done from outcomes')
          return rows[0].done
        },
        stop: () => service.stop(),
      }
    },
  }
}

interface Way extends Pick<MillraceOptions, 'onRedis' | 'prepare'> {
  /** What is created. */
  model?: 'noop' | 'paid'
}
