import { isRecord } from '@millrace/models/is-record'
import type { ChatCompletion, ToolCall } from '../chat.ts'
import { inWords } from '../read-fields.ts'
import { hostFault } from './host-fault.ts'
import type { ResponseUsage } from './response.ts'
import { toChatUsage } from './usage.ts'

/**
 * The response of a host that speaks nothing else as a chat completion. Items that chat has no word for are left out.
 * Throws the `InferenceFault` of a response that failed.
 */
export function fromResponse(response: Record<string, unknown>): ChatCompletion {
  const { id, created_at: created, model, status, usage } = response
  if (status === 'failed' || status === 'cancelled' || !Array.isArray(response.output))
    throw hostFault(response.error)
  const output = response.output.filter(isRecord)
  const calls = output.filter(({ type }) => type === 'function_call').map(toToolCall)
  const parts = output.filter(({ type }) => type === 'message').flatMap(partsOf)
  const refusal = joined(parts, 'refusal')
  const reasoning = output
    .filter(({ type }) => type === 'reasoning')
    .map(reasoningOf)
    .join('\n\n')
  const text = joined(parts, 'text')
  return {
    id: inWords(id),
    object: 'chat.completion',
    created: typeof created === 'number' ? created : 0,
    model: inWords(model),
    choices: [
      {
        index: 0,
        message: {
          role: 'assistant',
          content: text === '' && (refusal !== '' || calls.length > 0) ? null : text,
          refusal: refusal === '' ? null : refusal,
          ...(reasoning !== '' && { reasoning_content: reasoning }),
          ...(calls.length > 0 && { tool_calls: calls }),
        },
        finish_reason: finishReason(response, calls.length > 0),
        logprobs: logprobsOf(parts),
      },
    ],
    usage: toChatUsage(usage as Partial<ResponseUsage> | null | undefined),
  }
}

/** Why a response ended, in the words of chat. */
export function finishReason(
  { incomplete_details: details }: Record<string, unknown>,
  calls: boolean,
): string {
  const reason = isRecord(details) ? details.reason : undefined
  if (reason === 'max_output_tokens') return 'length'
  if (reason === 'content_filter') return 'content_filter'
  return calls ? 'tool_calls' : 'stop'
}

/** A call of the output; what it lacks is empty. */
export function toToolCall(item: Record<string, unknown>): ToolCall {
  const { call_id: id, name, arguments: args } = item
  return { id: text(id), type: 'function', function: { name: text(name), arguments: text(args) } }
}

/** What was thought: itself, where the host tells it, or the summary. */
export function reasoningOf({ content, summary }: Record<string, unknown>): string {
  const told = Array.isArray(content) && content.length > 0 ? content : summary
  if (!Array.isArray(told)) return ''
  return told
    .filter(isRecord)
    .map((part) => text(part.text))
    .join('\n\n')
}

function partsOf({ content }: Record<string, unknown>): Record<string, unknown>[] {
  return Array.isArray(content) ? content.filter(isRecord) : []
}

function joined(parts: Record<string, unknown>[], field: 'text' | 'refusal'): string {
  return parts.map((part) => text(part[field])).join('')
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function logprobsOf(parts: Record<string, unknown>[]): unknown {
  const content = parts.flatMap(({ logprobs }) => (Array.isArray(logprobs) ? logprobs : []))
  return content.length > 0 ? { content, refusal: null } : null
}
