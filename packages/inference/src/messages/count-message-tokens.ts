import { estimatePrompt } from '../count-tokens.ts'
import type { MessagesRequest } from './request.ts'
import { toChatRequest } from './to-chat-request.ts'

/** The answer to `count_tokens`: an estimate, since every model counts in its own way. Throws as `toChatRequest` does. */
export async function countMessageTokens(
  request: Omit<MessagesRequest, 'max_tokens'>,
): Promise<{ input_tokens: number }> {
  const asked = { ...request, max_tokens: 1 } as MessagesRequest
  return { input_tokens: await estimatePrompt(toChatRequest(asked)) }
}
