/** What a request to Responses is answered with. */
export interface ResponseObject {
  id: string
  object: 'response'
  /** Unix seconds. */
  created_at: number
  completed_at: number | null
  status: ResponseStatus
  model: string
  output: OutputItem[]
  /** All text of the output, which OpenAI's own client puts together by itself. */
  output_text: string
  error: { code: string; message: string } | null
  incomplete_details: { reason: 'max_output_tokens' | 'content_filter' } | null
  usage: ResponseUsage | null
  content_filters: unknown[] | null
  [echoed: string]: unknown
}

/** How far a response is. */
export type ResponseStatus = 'queued' | 'in_progress' | 'completed' | 'incomplete' | 'failed' | 'cancelled'

/** One thing that the model gave. */
export type OutputItem = MessageItem | CallItem | ReasoningItem

/** What it said. */
export interface MessageItem {
  type: 'message'
  id: string
  role: 'assistant'
  status: ItemStatus
  content: MessagePart[]
}

/** A part of a message. */
export type MessagePart =
  | { type: 'output_text'; text: string; annotations: unknown[]; logprobs: unknown[] }
  | { type: 'refusal'; refusal: string }

/** A function that it calls; `arguments` is JSON as the model wrote it, which may be none. */
export interface CallItem {
  type: 'function_call'
  id: string
  call_id: string
  name: string
  arguments: string
  status: ItemStatus
}

/** What it thought, as open models tell it. */
export interface ReasoningItem {
  type: 'reasoning'
  id: string
  summary: unknown[]
  content: { type: 'reasoning_text'; text: string }[]
  status: ItemStatus
}

/** An item is incomplete when the answer ended in the middle of it. */
export type ItemStatus = 'in_progress' | 'completed' | 'incomplete'

/** Tokens. */
export interface ResponseUsage {
  input_tokens: number
  input_tokens_details: { cached_tokens: number }
  output_tokens: number
  output_tokens_details: { reasoning_tokens: number }
  total_tokens: number
}
