import { isRecord } from '@millrace/models/is-record'
import type { ChatRequest } from '../chat.ts'
import { Conversation } from '../conversation.ts'
import { asList, asRecord, badParameter, withoutAbsent } from '../read-fields.ts'
import type { MessagesRequest } from './request.ts'
import { toChatTools, toToolChoice } from './tools.ts'
import { addTurn, systemText } from './turns.ts'

/**
 * A request in the Messages protocol as one for chat. `thinking` is ignored, since hosts differ in how it is asked for;
 * `output_config.effort` asks for it. Throws an `InferenceFault` about what chat cannot express.
 */
export function toChatRequest(request: MessagesRequest): ChatRequest {
  if (!Number.isInteger(request.max_tokens) || request.max_tokens < 1) {
    throw badParameter('max_tokens', 'max_tokens is required, and must be a whole number of at least 1.')
  }
  asRecord(request.metadata ?? {}, 'metadata')
  asRecord(request.output_config ?? {}, 'output_config')
  asList(request.stop_sequences ?? [], 'stop_sequences')
  const tools = toChatTools(request.tools)
  const { stop_sequences: stop, metadata, output_config: output } = request
  return {
    model: request.model,
    messages: messagesOf(request),
    max_tokens: request.max_tokens,
    ...withoutAbsent({
      stream: request.stream,
      stream_options: request.stream ? { include_usage: true } : undefined,
      temperature: request.temperature,
      top_p: request.top_p,
      top_k: request.top_k,
      stop: stop && stop.length > 0 ? stop : undefined,
      user: metadata?.user_id,
      response_format: responseFormat(output?.format),
      reasoning_effort: output?.effort === 'max' ? 'xhigh' : output?.effort,
      ...(tools.length > 0 && { tools, ...toToolChoice(request.tool_choice) }),
    }),
  } as ChatRequest
}

function messagesOf({ system, messages }: MessagesRequest) {
  const conversation = new Conversation()
  const first = systemText(system, 'system')
  if (first !== '') conversation.add({ role: 'system', content: first })
  const turns = asList(messages, 'messages')
  for (const [at, turn] of turns.entries())
    addTurn(conversation, asRecord(turn, `messages[${at}]`), `messages[${at}]`)
  const all = conversation.messages()
  if (all.every(({ role }) => role === 'system')) {
    throw badParameter('messages', 'messages must hold at least one message with content.')
  }
  return all
}

function responseFormat(format: unknown): unknown {
  if (!isRecord(format) || format.type !== 'json_schema') return undefined
  return { type: 'json_schema', json_schema: { name: 'answer', schema: format.schema, strict: true } }
}
