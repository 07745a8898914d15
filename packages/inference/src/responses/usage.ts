import type { ChatUsage } from '../chat.ts'
import type { ResponseUsage } from './response.ts'

/** Tokens in the words of Responses; null where nobody counted. */
export function toResponseUsage(usage: ChatUsage | null | undefined): ResponseUsage | null {
  if (!usage) return null
  return {
    input_tokens: usage.prompt_tokens,
    input_tokens_details: { cached_tokens: usage.prompt_tokens_details?.cached_tokens ?? 0 },
    output_tokens: usage.completion_tokens,
    output_tokens_details: { reasoning_tokens: usage.completion_tokens_details?.reasoning_tokens ?? 0 },
    total_tokens: usage.total_tokens,
  }
}

/** Tokens in the words of chat. */
export function toChatUsage(usage: Partial<ResponseUsage> | null | undefined): ChatUsage | undefined {
  if (!usage) return undefined
  const { input_tokens: prompt = 0, output_tokens: completion = 0 } = usage
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: usage.total_tokens ?? prompt + completion,
    prompt_tokens_details: { cached_tokens: usage.input_tokens_details?.cached_tokens ?? 0 },
    completion_tokens_details: { reasoning_tokens: usage.output_tokens_details?.reasoning_tokens ?? 0 },
  }
}
