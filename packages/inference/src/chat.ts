/**
 * OpenAI's chat completions as they are on the wire: the one shape into which every surface is translated, and from
 * which every answer is. The types say what is relied upon; what else a client or a host says is carried along.
 */
export interface ChatRequest {
  model: string
  messages: ChatMessage[]
  stream?: boolean | undefined
  stream_options?: { include_usage?: boolean } | undefined
  max_tokens?: number | undefined
  max_completion_tokens?: number | undefined
  temperature?: number | undefined
  top_p?: number | undefined
  stop?: string | string[] | null | undefined
  n?: number | undefined
  tools?: ChatTool[] | undefined
  tool_choice?: unknown
  parallel_tool_calls?: boolean | undefined
  response_format?: unknown
  reasoning_effort?: string | undefined
  [passedOn: string]: unknown
}

/** One turn of a conversation. */
export interface ChatMessage {
  role: 'system' | 'developer' | 'user' | 'assistant' | 'tool' | 'function'
  content?: string | ContentPart[] | null | undefined
  name?: string | undefined
  tool_calls?: ToolCall[] | undefined
  tool_call_id?: string | undefined
  refusal?: string | null | undefined
  /** What reasoning hosts (vLLM, DeepSeek) tell beside the content. */
  reasoning_content?: string | null | undefined
  [carried: string]: unknown
}

/** A part of a message: `text`, `image_url`, `input_audio`, `file`, `refusal`, and what hosts add. */
export interface ContentPart {
  type: string
  text?: string
  image_url?: { url: string; detail?: string }
  [carried: string]: unknown
}

/** A function that the model may call. */
export interface ChatTool {
  type: 'function'
  function: {
    name: string
    description?: string | undefined
    parameters?: unknown
    strict?: boolean | null | undefined
  }
  [carried: string]: unknown
}

/** A call that the model made; `arguments` is JSON as the model wrote it, which may be none. */
export interface ToolCall {
  id: string
  type: 'function'
  function: { name: string; arguments: string }
  [carried: string]: unknown
}

/** The whole answer. */
export interface ChatCompletion {
  id: string
  object: 'chat.completion'
  /** Unix seconds. */
  created: number
  model: string
  choices: ChatChoice[]
  usage?: ChatUsage | null | undefined
  [carried: string]: unknown
}

/** One of the answers; most requests ask for one. */
export interface ChatChoice {
  index: number
  message: ChatMessage & { role: 'assistant' }
  finish_reason: string | null
  logprobs?: unknown
  [carried: string]: unknown
}

/** A part of an answer that streams. The last one may have usage and no choices. */
export interface ChatChunk {
  id: string
  object: 'chat.completion.chunk'
  /** Unix seconds. */
  created: number
  model: string
  choices: ChunkChoice[]
  usage?: ChatUsage | null | undefined
  [carried: string]: unknown
}

/** What a chunk adds to one answer. */
export interface ChunkChoice {
  index: number
  delta: ChatDelta
  finish_reason: string | null
  logprobs?: unknown
  [carried: string]: unknown
}

/** Text is added to text; a tool call's arguments to those of the call of that index. */
export interface ChatDelta {
  role?: 'assistant' | undefined
  content?: string | null | undefined
  refusal?: string | null | undefined
  reasoning_content?: string | null | undefined
  tool_calls?: ToolCallDelta[] | undefined
  [carried: string]: unknown
}

/** The first of an index has its id and name. */
export interface ToolCallDelta {
  index: number
  id?: string | undefined
  type?: 'function' | undefined
  function?: { name?: string | undefined; arguments?: string | undefined } | undefined
}

/** Tokens. */
export interface ChatUsage {
  prompt_tokens: number
  completion_tokens: number
  total_tokens: number
  prompt_tokens_details?: { cached_tokens?: number; [more: string]: unknown } | null | undefined
  completion_tokens_details?: { reasoning_tokens?: number; [more: string]: unknown } | null | undefined
  [carried: string]: unknown
}
