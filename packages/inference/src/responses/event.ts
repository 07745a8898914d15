import type { OutputItem, ResponseObject } from './response.ts'

/** One event of a response's stream, numbered from 0. `type` is its name too. */
export type ResponseEvent = ResponseEventBody & { sequence_number: number }

/** An event without its number. */
export type ResponseEventBody =
  | { type: LifecycleEvent; response: ResponseObject }
  | {
      type: 'response.output_item.added' | 'response.output_item.done'
      output_index: number
      item: OutputItem
    }
  | (InPart & { type: 'response.content_part.added' | 'response.content_part.done'; part: PartInEvent })
  | (InPart & { type: 'response.output_text.delta'; delta: string; logprobs: unknown[] })
  | (InPart & { type: 'response.output_text.done'; text: string; logprobs: unknown[] })
  | (InPart & { type: 'response.refusal.delta' | 'response.reasoning_text.delta'; delta: string })
  | (InPart & { type: 'response.refusal.done'; refusal: string })
  | (InPart & { type: 'response.reasoning_text.done'; text: string })
  | (InItem & { type: 'response.function_call_arguments.delta'; delta: string })
  | (InItem & { type: 'response.function_call_arguments.done'; name: string; arguments: string })

/** The first two and the last one of a stream carry the whole response. */
export type LifecycleEvent = 'response.created' | 'response.queued' | 'response.in_progress' | TerminalEvent

/** With one of these every stream ends. */
export type TerminalEvent = 'response.completed' | 'response.incomplete' | 'response.failed'

/** A part of an item, as events tell it. */
export type PartInEvent =
  | { type: 'output_text'; text: string; annotations: unknown[]; logprobs: unknown[] }
  | { type: 'refusal'; refusal: string }
  | { type: 'reasoning_text'; text: string }

interface InItem {
  item_id: string
  output_index: number
}
interface InPart extends InItem {
  content_index: number
}
