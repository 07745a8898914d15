/** The answer in the Messages protocol. */
export interface Message {
  id: string
  type: 'message'
  role: 'assistant'
  model: string
  content: MessageBlock[]
  stop_reason: StopReason | null
  /** Which of the request's sequences ended it, where the host tells. */
  stop_sequence: string | null
  usage: MessageUsage
}

/** A block of an answer. Thinking has no signature, which only Anthropic can make. */
export type MessageBlock =
  | { type: 'text'; text: string; citations: null }
  | { type: 'thinking'; thinking: string; signature: string }
  | { type: 'tool_use'; id: string; name: string; input: Record<string, unknown> }

/** Why it ended. */
export type StopReason = 'end_turn' | 'max_tokens' | 'stop_sequence' | 'tool_use' | 'refusal'

/** Tokens. `input_tokens` are those that no cache served. */
export interface MessageUsage {
  input_tokens: number
  output_tokens: number
  cache_creation_input_tokens: number
  cache_read_input_tokens: number
}

/** One event of an answer that streams. */
export type MessageEvent =
  | { type: 'message_start'; message: Message }
  | { type: 'ping' }
  | { type: 'content_block_start'; index: number; content_block: MessageBlock }
  | { type: 'content_block_delta'; index: number; delta: BlockDelta }
  | { type: 'content_block_stop'; index: number }
  | { type: 'message_delta'; delta: MessageEnd; usage: MessageUsage }
  | { type: 'message_stop' }
  | MessagesError

/** What is added to a block. */
export type BlockDelta =
  | { type: 'text_delta'; text: string }
  | { type: 'thinking_delta'; thinking: string }
  | { type: 'input_json_delta'; partial_json: string }

/** How a message ended. */
export type MessageEnd = Pick<Message, 'stop_reason' | 'stop_sequence'>

/** An error: the body of a refused request, or the last event of a stream that failed. */
export interface MessagesError {
  type: 'error'
  error: { type: string; message: string }
  request_id?: string
}
