import type { Service } from './harness/service.ts'
import { until } from './harness/wait.ts'

/** The row of a call in the activity log, once it has ended. */
export function loggedCall({ db }: Pick<Service, 'db'>, requestId: string | null | undefined) {
  return until(
    async () => {
      const { rows } = await db.pool.query(
        `select * from requests where request_id = $1 and status <> 'running'`,
        [requestId],
      )
      return rows[0]
    },
    { what: 'the row of the call' },
  )
}
