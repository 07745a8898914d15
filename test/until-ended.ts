import type { Prediction } from '@millrace/contract/prediction'
import { isTerminal } from '@millrace/contract/statuses'
import type { ApiCaller } from './api-caller.ts'
import { until } from './harness/wait.ts'

/** The prediction once it has ended, as its owner reads it. */
export async function untilEnded(call: ApiCaller, id: string): Promise<Prediction> {
  return until(
    async () => {
      const { status, body, text } = await call(`GET /v1/predictions/${id}`)
      if (status !== 200) throw new Error(`${status}: ${text}`)
      return isTerminal(body.status) && body
    },
    { within: 25_000, what: `${id} to end` },
  )
}
