import { InferenceFault } from '@millrace/inference/fault'
import type { Outcome } from '@millrace/providers/provider'

/** What an inference that failed is for the prediction that asked for it. */
export function outcomeOfFault(error: unknown): Outcome {
  if (!(error instanceof InferenceFault))
    return { kind: 'unavailable', reason: 'The worker could not ask the model' }
  const { errorId, message, about } = error
  const { elsewhere, busy, retryAfterSeconds } = about
  if (errorId === 'CONTENT_POLICY_VIOLATION') return { kind: 'failed', code: errorId, detail: message }
  // Its breaker has heard of it from whoever asked the host.
  if (elsewhere) {
    return {
      kind: 'unavailable',
      reason: message,
      ...(busy ? { busy } : {}),
      ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
    }
  }
  return { kind: 'failed', code: 'MODEL_ERROR', detail: message }
}
