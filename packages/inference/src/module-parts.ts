import { randomUUID } from 'node:crypto'
import type { ChatChunk, ChatCompletion, ChatDelta, ChatRequest, ChatUsage, ToolCallDelta } from './chat.ts'
import { callId, mendArguments } from './mend-message.ts'

/** The beginning of a stream: who speaks. */
export function openingOf(request: ChatRequest): ChatChunk {
  return chunk(request, [{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null }])
}

/**
 * A part of what a module answers, after others, as a chunk; undefined where it has nothing to say by itself. Calls are
 * stated whole, and counted on from those before.
 */
export function chunkOf(
  request: ChatRequest,
  part: ChatPart,
  before: readonly ChatPart[],
): ChatChunk | undefined {
  const delta = deltaOf(part, before.flatMap(callsIn).length)
  return delta && chunk(request, [{ index: 0, delta, finish_reason: null }])
}

/** The end of a stream: why it ended, and the tokens where they were counted. */
export function finishOf(request: ChatRequest, parts: readonly ChatPart[]): ChatChunk[] {
  const last = chunk(request, [{ index: 0, delta: {}, finish_reason: finishReason(parts) }])
  const usage = usageIn(parts)
  return usage ? [last, { ...chunk(request, []), usage }] : [last]
}

/** All parts as one answer. */
export function completionOf(request: ChatRequest, parts: readonly ChatPart[]): ChatCompletion {
  const deltas = parts.map((part) => deltaOf(part)).filter((delta) => delta !== undefined)
  const joined = (name: 'content' | 'refusal' | 'reasoning_content') => {
    const texts = deltas.flatMap((delta) => delta[name] ?? [])
    return texts.length > 0 ? texts.join('') : null
  }
  const calls = parts.flatMap(callsIn)
  const reasoning = joined('reasoning_content')
  return {
    id: `chatcmpl-${randomUUID()}`,
    object: 'chat.completion',
    created: Math.floor(Date.now() / 1000),
    model: request.model,
    choices: [
      {
        index: 0,
        message: {
          role: 'assistant',
          content: joined('content'),
          refusal: joined('refusal'),
          ...(reasoning === null ? {} : { reasoning_content: reasoning }),
          ...(calls.length > 0 ? { tool_calls: calls.map(wholeCall) } : {}),
        },
        finish_reason: finishReason(parts),
        logprobs: null,
      },
    ],
    usage: usageIn(parts),
  }
}

function deltaOf(part: ChatPart, callsBefore = 0): ChatDelta | undefined {
  if (typeof part === 'string') return { content: part }
  const { content, refusal, reasoning_content, tool_calls } = part
  if ([content, refusal, reasoning_content, tool_calls].every((value) => value === undefined))
    return undefined
  return {
    content,
    refusal,
    reasoning_content,
    tool_calls: tool_calls?.map((call, at) => ({ index: callsBefore + at, ...wholeCall(call) })),
  }
}

function wholeCall({ id = callId(), function: called }: StatedCall) {
  return {
    id,
    type: 'function' as const,
    function: { name: called?.name ?? '', arguments: mendArguments(called?.arguments) ?? '{}' },
  }
}

function callsIn(part: ChatPart): StatedCall[] {
  return typeof part === 'string' ? [] : (part.tool_calls ?? [])
}

function finishReason(parts: readonly ChatPart[]): string {
  const objects = parts.filter((part) => typeof part !== 'string')
  const stated = objects.findLast(({ finish_reason }) => finish_reason !== undefined)?.finish_reason
  return stated ?? (objects.some(({ tool_calls }) => tool_calls !== undefined) ? 'tool_calls' : 'stop')
}

function usageIn(parts: readonly ChatPart[]): ChatUsage | undefined {
  return parts.filter((part) => typeof part !== 'string').findLast(({ usage }) => usage !== undefined)?.usage
}

function chunk({ model }: ChatRequest, choices: ChatChunk['choices']): ChatChunk {
  return {
    id: 'chatcmpl',
    object: 'chat.completion.chunk',
    created: Math.floor(Date.now() / 1000),
    model,
    choices,
  }
}

/** What a module yields: text, or what else a message has. */
export type ChatPart = string | StatedPart

interface StatedPart {
  content?: string
  refusal?: string
  reasoning_content?: string
  tool_calls?: StatedCall[]
  finish_reason?: string
  usage?: ChatUsage
}

type StatedCall = Omit<ToolCallDelta, 'index'> & { index?: number }
