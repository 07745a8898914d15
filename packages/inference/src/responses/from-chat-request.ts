import { isRecord } from '@millrace/models/is-record'
import type { ChatMessage, ChatRequest } from '../chat.ts'
import { InferenceFault } from '../fault.ts'
import { badParameter, withoutAbsent } from '../read-fields.ts'
import { toItemPart } from './content-parts.ts'
import type { ResponseItem, ResponsesRequest } from './request.ts'
import { toFlatToolChoice, toFlatTools } from './tools.ts'

/**
 * A chat request as one to Responses, for hosts that speak nothing else. The host keeps nothing of it. Throws an
 * `InferenceFault` about what Responses cannot express: several answers, and stop sequences.
 */
export function fromChatRequest(request: ChatRequest): ResponsesRequest {
  if ((request.n ?? 1) > 1) throw unknownTo('n')
  if (request.stop !== undefined && request.stop !== null && request.stop.length > 0) throw unknownTo('stop')
  const { verbosity, logprobs } = request
  const format = textFormat(request.response_format)
  return {
    ...passedOn(request),
    model: request.model,
    input: request.messages.flatMap(toItems),
    store: false,
    ...withoutAbsent({
      max_output_tokens: request.max_completion_tokens ?? request.max_tokens,
      tools: request.tools && toFlatTools(request.tools).map(withoutAbsent),
      tool_choice: toFlatToolChoice(request.tool_choice),
      text: format || verbosity ? withoutAbsent({ format, verbosity }) : undefined,
      reasoning: request.reasoning_effort ? { effort: request.reasoning_effort } : undefined,
      include: logprobs === true ? ['message.output_text.logprobs'] : undefined,
    }),
  } as ResponsesRequest
}

/** Chat's own parameters that Responses has no word for, or another one. All others go to the host. */
const ownToChat = new Set([
  'function_call',
  'functions',
  'logprobs',
  'max_completion_tokens',
  'max_tokens',
  'messages',
  'n',
  'reasoning_effort',
  'response_format',
  'stop',
  'stream_options',
  'tool_choice',
  'tools',
  'verbosity',
])

function passedOn(request: ChatRequest): Record<string, unknown> {
  return withoutAbsent(Object.fromEntries(Object.entries(request).filter(([name]) => !ownToChat.has(name))))
}

function unknownTo(param: string): InferenceFault {
  return new InferenceFault('INVALID_PARAMETER', `This model does not take ${param}.`, { param })
}

/** Reasoning is left out: a host takes back only what it encrypted itself. */
function toItems(message: ChatMessage, at: number): ResponseItem[] {
  const { role, content, refusal, tool_calls: calls = [] } = message
  if (role === 'tool') {
    return [
      { type: 'function_call_output', call_id: message.tool_call_id, output: toItemContent(content, 'user') },
    ]
  }
  if (role === 'function') {
    throw badParameter('messages', `messages[${at}] is of the role function: use tools and the role tool.`)
  }
  const said = toItemContent(content, role)
  const refused = refusal ? [{ type: 'refusal', refusal }] : []
  const whole = refused.length > 0 ? [...asParts(said), ...refused] : said
  return [
    ...(whole.length > 0 || calls.length === 0 ? [{ type: 'message', role, content: whole }] : []),
    ...calls.map(({ id, function: { name, arguments: args } }) => {
      return { type: 'function_call', call_id: id, name, arguments: args }
    }),
  ]
}

type ItemContent = string | Record<string, unknown>[]

function toItemContent(content: ChatMessage['content'], role: ChatMessage['role']): ItemContent {
  return Array.isArray(content) ? content.map((part) => toItemPart(part, role)) : (content ?? '')
}

function asParts(content: ItemContent): Record<string, unknown>[] {
  if (typeof content !== 'string') return content
  return content === '' ? [] : [{ type: 'output_text', text: content }]
}

function textFormat(format: unknown): unknown {
  if (!isRecord(format) || format.type !== 'json_schema' || !isRecord(format.json_schema)) return format
  return { type: 'json_schema', ...format.json_schema }
}
