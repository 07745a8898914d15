import { storeAnswer } from '@millrace/activity/stored-answers'
import type { Call } from './infer.ts'

/**
 * Keeps an answer with what was asked, for 30 days, or less where the service, the model or the account keeps less.
 * False where it could not be kept: the answer is given all the same, and says so.
 */
export async function keepAnswer(call: Call, answer: KeptAnswer): Promise<boolean> {
  const { context, caller, model, slug } = call
  const days = Math.min(
    mostDays,
    context.config.RETENTION_VALUES_DAYS,
    model.retention.data ?? mostDays,
    caller.retention.data_days ?? mostDays,
  )
  try {
    await storeAnswer(context.db, { ...answer, accountId: caller.accountId, model: slug, days })
    return true
  } catch (err) {
    context.log.warn({ err, request_id: call.requestId }, 'an answer could not be stored')
    return false
  }
}

/** As OpenAI keeps them. */
const mostDays = 30

interface KeptAnswer {
  /** A uuid. */
  id: string
  surface: 'chat' | 'responses'
  previousId?: string | undefined
  request: Record<string, unknown>
  answer: Record<string, unknown>
}
