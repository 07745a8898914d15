import type { ModelDescription } from '@millrace/models/description'
import type { ChatRequest } from './chat.ts'
import { badParameter } from './read-fields.ts'

/**
 * The request with the longest answer that it may have: as asked, else 4096 tokens, and never more than the model can.
 * Throws an `InferenceFault` where more is asked for; `param` is what the surface calls it.
 */
export function limitAnswer(
  { max_output_tokens: most }: Pick<ModelDescription, 'max_output_tokens'>,
  request: ChatRequest,
  param?: string,
): ChatRequest {
  const name = request.max_completion_tokens == null ? 'max_tokens' : 'max_completion_tokens'
  const asked = request[name]
  if (most !== undefined && asked != null && asked > most) {
    throw badParameter(param ?? name, `${param ?? name} must be at most ${most} for this model.`)
  }
  return { ...request, [name]: asked ?? Math.min(defaultTokens, most ?? defaultTokens) }
}

const defaultTokens = 4096
