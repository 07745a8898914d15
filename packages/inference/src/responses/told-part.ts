import type { ChatChunk, ChatDelta } from '../chat.ts'
import type { ResponseEvent } from './event.ts'
import type { CallItem, OutputItem, ReasoningItem } from './response.ts'

/**
 * A part of a response as it is kept to be told again: text as it came, and what else there is once it is whole. Parts
 * that were made of a stream of events make the same items in the same places.
 */
export type ToldPart = string | { type: 'refusal'; refusal: string } | CallItem | ReasoningItem

/** The part that an event completes, if it does. */
export function partOf(event: ResponseEvent): ToldPart | undefined {
  switch (event.type) {
    case 'response.output_text.delta':
      return event.delta
    case 'response.refusal.done':
      return { type: 'refusal', refusal: event.refusal }
    case 'response.output_item.done':
      return event.item.type === 'message' ? undefined : event.item
    default:
      return undefined
  }
}

/** The parts of a whole output. */
export function partsOf(output: readonly OutputItem[]): ToldPart[] {
  return output.flatMap((item): ToldPart[] =>
    item.type === 'message'
      ? item.content.map((part) => (part.type === 'refusal' ? part : part.text))
      : [item],
  )
}

/** A part as a chunk of chat; `index` is its place among all parts. */
export function chunkOfPart(part: ToldPart, index: number): ChatChunk {
  const choices = [{ index: 0, delta: deltaOf(part, index), finish_reason: null }]
  return { id: '', object: 'chat.completion.chunk', created: 0, model: '', choices }
}

function deltaOf(part: ToldPart, index: number): ChatDelta {
  if (typeof part === 'string') return { content: part }
  switch (part.type) {
    case 'refusal':
      return { refusal: part.refusal }
    case 'reasoning':
      return { reasoning_content: part.content.map(({ text }) => text).join('') }
    case 'function_call':
      return {
        tool_calls: [
          {
            index,
            id: part.call_id,
            type: 'function',
            function: { name: part.name, arguments: part.arguments },
          },
        ],
      }
    default:
      return part satisfies never
  }
}
