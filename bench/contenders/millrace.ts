import type { Contender } from '../contender.ts'
import { startMillrace } from '../millrace.ts'
import { postMany } from '../post.ts'
import { createRequest } from '../requests.ts'

/** This service: one api, one worker and one dispatcher. */
export const millraceOnRedis = millrace('Millrace (Redis)', true)
export const millraceEmbedded = millrace('Millrace (embedded)', false)

function millrace(name: string, onRedis: boolean): Contender {
  return {
    name,
    async start(stores, { paused = false } = {}) {
      const service = await startMillrace(stores, { onRedis, ...(paused && { apps: ['api'] }) })
      return {
        request: (webhookUrl) => createRequest(service, webhookUrl),
        load: (count, webhookUrl) => postMany(createRequest(service, webhookUrl), count),
        async done() {
          const { rows } = await service.db.pool.query('select count(*)::integer as done from outcomes')
          return rows[0].done
        },
        stop: () => service.stop(),
      }
    },
  }
}
