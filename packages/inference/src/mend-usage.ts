import { isRecord } from '@millrace/models/is-record'
import type { ChatUsage } from './chat.ts'

/** The tokens that a host counted; numbers may be texts, and a total may be missing. Undefined where it counted none. */
export function mendUsage(told: unknown): ChatUsage | undefined {
  if (!isRecord(told)) return undefined
  const prompt = tokensOf(told.prompt_tokens ?? told.input_tokens)
  const completion = tokensOf(told.completion_tokens ?? told.output_tokens)
  if (prompt === undefined && completion === undefined) return undefined
  const { prompt_tokens = 0, completion_tokens = 0 } = {
    prompt_tokens: prompt,
    completion_tokens: completion,
  }
  return {
    ...told,
    prompt_tokens,
    completion_tokens,
    total_tokens: tokensOf(told.total_tokens) ?? prompt_tokens + completion_tokens,
    prompt_tokens_details: detailsOf(told.prompt_tokens_details),
    completion_tokens_details: detailsOf(told.completion_tokens_details),
  }
}

/** A count as a whole number; undefined where it is none. */
export function tokensOf(value: unknown): number | undefined {
  const count = typeof value === 'string' && value.trim() !== '' ? Number(value) : value
  return typeof count === 'number' && Number.isFinite(count) && count >= 0 ? Math.round(count) : undefined
}

function detailsOf(value: unknown): Record<string, unknown> | undefined {
  return isRecord(value) ? value : undefined
}
