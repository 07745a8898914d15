import { isRecord } from '@millrace/models/is-record'
import type { ChatChoice, ChatCompletion } from './chat.ts'
import type { ChunkTraits } from './mend-chunk.ts'
import { callId, mendArguments, mendReason, mendTexts } from './mend-message.ts'
import { mendUsage } from './mend-usage.ts'
import { inWords } from './read-fields.ts'

/** Makes of a host's whole answer the completion that it should have been, in place. Undefined where it is none. */
export function mendCompletion(body: unknown, { model, requestId }: ChunkTraits): ChatCompletion | undefined {
  if (!isRecord(body) || !Array.isArray(body.choices)) return undefined
  const choices = body.choices.filter(isRecord).map(mendChoice)
  if (choices.length === 0) return undefined
  body.id = typeof body.id === 'string' && body.id !== '' ? body.id : `chatcmpl-${requestId}`
  body.object = 'chat.completion'
  body.created = Number.isSafeInteger(body.created) ? body.created : Math.floor(Date.now() / 1000)
  body.model = model
  body.choices = choices
  body.usage = mendUsage(body.usage)
  return body as ChatCompletion
}

function mendChoice(choice: Record<string, unknown>, position: number): ChatChoice {
  const { message, delta, text } = choice
  const found = isRecord(message)
    ? message
    : isRecord(delta)
      ? delta
      : { content: typeof text === 'string' ? text : null }
  found.role = 'assistant'
  found.content ??= null
  mendTexts(found)
  found.tool_calls = Array.isArray(found.tool_calls) ? mendCalls(found.tool_calls) : undefined
  choice.index = Number.isSafeInteger(choice.index) ? choice.index : position
  choice.message = found
  choice.delta = undefined
  choice.text = undefined
  choice.finish_reason = mendReason(choice.finish_reason) ?? (found.tool_calls ? 'tool_calls' : 'stop')
  return choice as ChatChoice
}

function mendCalls(calls: unknown[]): unknown[] | undefined {
  const mended = calls.filter(isRecord).map((call) => {
    const stated = isRecord(call.function) ? call.function : {}
    const id = typeof call.id === 'string' && call.id !== '' ? call.id : callId()
    const named = { name: inWords(stated.name ?? ''), arguments: mendArguments(stated.arguments) ?? '' }
    return { ...call, id, type: 'function', function: { ...stated, ...named } }
  })
  return mended.length === 0 ? undefined : mended
}
