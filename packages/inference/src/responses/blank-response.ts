import type { ResponsesRequest } from './request.ts'
import type { ResponseObject } from './response.ts'
import { toChatTools, toFlatToolChoice, toFlatTools } from './tools.ts'

/** What a response is made with beside the answer. */
export interface ResponseMeta {
  /** `resp_…`. */
  id: string
  /** Unix seconds. */
  createdAt: number
  /** Asked when the response has ended: unix seconds. Whoever tells a response again gives the time it ended at. */
  completedAt(): number
  /** The slug as asked. */
  model: string
  request: ResponsesRequest
  /** Whether the response is kept, and may be asked for and continued. */
  store: boolean
}

/** A response before anything has come: all that it says of its request, with OpenAI's defaults. */
export function blankResponse({ id, createdAt, model, request, store }: ResponseMeta): ResponseObject {
  return {
    id,
    object: 'response',
    created_at: createdAt,
    status: 'in_progress',
    background: request.background ?? false,
    completed_at: null,
    error: null,
    incomplete_details: null,
    instructions: request.instructions ?? null,
    max_output_tokens: request.max_output_tokens ?? null,
    max_tool_calls: request.max_tool_calls ?? null,
    model,
    output: [],
    output_text: '',
    parallel_tool_calls: request.parallel_tool_calls ?? true,
    previous_response_id: request.previous_response_id ?? null,
    prompt_cache_key: request.prompt_cache_key ?? null,
    reasoning: { effort: request.reasoning?.effort ?? null, summary: request.reasoning?.summary ?? null },
    safety_identifier: request.safety_identifier ?? null,
    service_tier: request.service_tier ?? 'default',
    store,
    temperature: request.temperature ?? 1,
    text: {
      format: request.text?.format ?? { type: 'text' },
      verbosity: request.text?.verbosity ?? 'medium',
    },
    tool_choice: toFlatToolChoice(request.tool_choice ?? 'auto'),
    tools: toFlatTools(toChatTools(request.tools)),
    top_logprobs: request.top_logprobs ?? 0,
    top_p: request.top_p ?? 1,
    truncation: request.truncation ?? 'disabled',
    usage: null,
    user: request.user ?? null,
    metadata: request.metadata ?? {},
    content_filters: null,
  }
}
