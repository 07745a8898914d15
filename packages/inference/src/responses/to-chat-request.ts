import type { ChatRequest } from '../chat.ts'
import { Conversation } from '../conversation.ts'
import { asList, asRecord, asText, badParameter, withoutAbsent } from '../read-fields.ts'
import { addItems } from './input-items.ts'
import type { ResponseItem, ResponsesRequest } from './request.ts'
import { toChatToolChoice, toChatTools } from './tools.ts'

/**
 * A request to Responses as one for chat. `previous` are the items of the turns before (what was put in and what came
 * out, in order), `stored` those that the input refers to by their ids. Instructions are this request's own: those of an
 * earlier turn are not carried over. Throws an `InferenceFault` about what chat cannot express.
 */
export function toChatRequest(
  request: ResponsesRequest,
  previous: ResponseItem[] = [],
  stored: ReadonlyMap<string, ResponseItem> = new Map(),
): ChatRequest {
  checkShape(request)
  const { tools, choice } = toChatToolChoice(toChatTools(request.tools), request.tool_choice)
  return {
    ...passedOn(request),
    model: request.model,
    messages: messagesOf(request, previous, stored),
    ...withoutAbsent({
      stream: request.stream,
      stream_options: request.stream ? { include_usage: true } : undefined,
      temperature: request.temperature,
      top_p: request.top_p,
      max_tokens: request.max_output_tokens,
      tools: tools.length > 0 ? tools : undefined,
      tool_choice: tools.length > 0 ? choice : undefined,
      parallel_tool_calls: tools.length > 0 ? request.parallel_tool_calls : undefined,
      response_format: responseFormat(request.text?.format),
      verbosity: request.text?.verbosity,
      reasoning_effort: request.reasoning?.effort,
      ...logprobs(request),
    }),
  } as ChatRequest
}

/** What is read below; hosts check the rest. What would say more than the request itself is not left out in silence. */
function checkShape({
  instructions,
  include,
  text,
  reasoning,
  conversation,
  prompt,
}: ResponsesRequest): void {
  if (conversation != null)
    throw badParameter('conversation', 'No conversations are stored here: give previous_response_id.')
  if (prompt != null) throw badParameter('prompt', 'No prompts are stored here: give instructions and input.')
  asText(instructions ?? '', 'instructions')
  asList(include ?? [], 'include')
  asRecord(text ?? {}, 'text')
  asRecord(reasoning ?? {}, 'reasoning')
}

function messagesOf(
  { instructions, input }: ResponsesRequest,
  previous: ResponseItem[],
  stored: ReadonlyMap<string, ResponseItem>,
) {
  const conversation = new Conversation()
  if (instructions) conversation.add({ role: 'system', content: instructions })
  const given = typeof input === 'string' ? [{ role: 'user', content: input }] : (input ?? [])
  addItems(conversation, given, { previous, stored })
  const messages = conversation.messages()
  if (messages.length === 0) throw badParameter('input', 'input must hold at least one message.')
  return messages
}

/** Parameters of Responses that chat has no word for, or another one, and our own. All others go to the host. */
const ownToResponses = new Set([
  'background',
  'context_management',
  'include',
  'input',
  'instructions',
  'max_output_tokens',
  'max_tool_calls',
  'metadata',
  'previous_response_id',
  'reasoning',
  'store',
  'stream_options',
  'tags',
  'text',
  'tool_choice',
  'tools',
  'top_logprobs',
  'truncation',
  'webhook',
])

function passedOn(request: ResponsesRequest): Record<string, unknown> {
  return withoutAbsent(
    Object.fromEntries(Object.entries(request).filter(([name]) => !ownToResponses.has(name))),
  )
}

function responseFormat(format: unknown): unknown {
  if (typeof format !== 'object' || format === null || !('type' in format)) return undefined
  if (format.type === 'text') return undefined
  if (format.type !== 'json_schema' || 'json_schema' in format) return format
  const { type, ...schema } = format
  return { type, json_schema: schema }
}

function logprobs({ top_logprobs: top, include }: ResponsesRequest): Record<string, unknown> {
  const asked = include?.includes('message.output_text.logprobs') || (top ?? 0) > 0
  return asked ? { logprobs: true, top_logprobs: top ?? 0 } : {}
}
