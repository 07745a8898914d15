/**
 * A request to OpenAI's Responses as it is on the wire. As with chat, the types say what is relied upon, and what else a
 * client says is carried along.
 */
export interface ResponsesRequest {
  model: string
  input?: string | ResponseItem[] | undefined
  instructions?: string | null | undefined
  previous_response_id?: string | null | undefined
  stream?: boolean | null | undefined
  store?: boolean | null | undefined
  background?: boolean | null | undefined
  max_output_tokens?: number | null | undefined
  temperature?: number | null | undefined
  top_p?: number | null | undefined
  top_logprobs?: number | null | undefined
  tools?: Record<string, unknown>[] | null | undefined
  tool_choice?: unknown
  parallel_tool_calls?: boolean | null | undefined
  text?: { format?: unknown; verbosity?: string | null } | null | undefined
  reasoning?: { effort?: string | null; summary?: string | null } | null | undefined
  metadata?: Record<string, unknown> | null | undefined
  include?: string[] | null | undefined
  [passedOn: string]: unknown
}

/**
 * One item of a conversation: a message (with or without its type), a call, a call's output, reasoning, or the reference
 * to one that is stored.
 */
export interface ResponseItem {
  type?: string | undefined
  id?: string | undefined
  [carried: string]: unknown
}
