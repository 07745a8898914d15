import { endpoints } from '@millrace/contract/endpoints'
import { sanitiseText } from '@millrace/database/sanitise'
import { readCallbackToken } from '@millrace/keys/callback-token'
import { takeCallback as store } from '@millrace/lifecycle/callbacks'
import { ApiError } from '../api-error.ts'
import { route } from '../route.ts'

/**
 * A host reports of a job: what it says goes to the worker that waits for it, and only as long as one does. The address
 * is the key; nothing is said about one that is wrong.
 */
export const takeCallback = route(endpoints.takeCallback, async ({ context, params, raw }) => {
  const fence = readCallbackToken(context.callbackKeys, params.token)
  const body = sanitiseText(raw?.toString('utf8') ?? '')
  const taken = fence && (await store(context.db, fence, body))
  if (!fence || !taken) throw new ApiError('PREDICTION_NOT_FOUND', 'Nobody waits for this report.')
  context.queue.signal('callback', [fence.id])
  return { received: true }
})
