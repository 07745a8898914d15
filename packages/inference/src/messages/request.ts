/**
 * A request in Anthropic's Messages protocol (version 2023-06-01) as it is on the wire. The types say what is relied
 * upon; fields that are not named here are ignored, except for sampling parameters, which go to the host.
 */
export interface MessagesRequest {
  model: string
  max_tokens: number
  messages: MessageInput[]
  system?: string | Block[] | undefined
  stream?: boolean | undefined
  stop_sequences?: string[] | undefined
  temperature?: number | undefined
  top_p?: number | undefined
  top_k?: number | undefined
  tools?: Record<string, unknown>[] | undefined
  tool_choice?: Record<string, unknown> | undefined
  metadata?: { user_id?: string | null } | undefined
  output_config?: { format?: unknown; effort?: string | null } | undefined
  [ignored: string]: unknown
}

/** One turn. */
export interface MessageInput {
  role: string
  content: string | Block[]
}

/** A block of a turn: `text`, `image`, `document`, `tool_use`, `tool_result`, `thinking`. */
export interface Block {
  type: string
  [field: string]: unknown
}
