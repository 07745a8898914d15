import { z } from 'zod'

/** What else a client sends goes to the host as it is, so that parameters of tomorrow work today. */
const part = z.looseObject({ type: z.string().describe('text, image_url, input_audio, file or refusal') })

const toolCall = z.looseObject({
  id: z.string(),
  function: z.looseObject({ name: z.string(), arguments: z.string() }).optional(),
})

const message = z.looseObject({
  role: z
    .enum(['system', 'developer', 'user', 'assistant', 'tool', 'function'])
    .describe('Who says it; `tool` answers a call of the model'),
  content: z
    .union([z.string(), z.array(part)])
    .nullish()
    .describe('A text, or parts of text and images'),
  tool_calls: z.array(toolCall).nullish().describe('What the model called, in its own earlier messages'),
  tool_call_id: z.string().optional().describe('The call that a `tool` message answers'),
})

const tool = z.looseObject({
  type: z.string(),
  function: z
    .looseObject({
      name: z.string().min(1).describe('The name by which the model calls it'),
      description: z.string().optional().describe('When to call it'),
      parameters: z.record(z.string(), z.unknown()).optional().describe('A JSON Schema of its arguments'),
    })
    .optional(),
})

/** Sampling and length, the same on every surface that makes text. */
export const sampling = {
  temperature: z.number().min(0).max(2).nullish().describe('How much chance: 0 none, 1 as trained'),
  top_p: z.number().min(0).max(1).nullish().describe('Of the likeliest tokens, the share to choose from'),
}

/** `POST /v1/chat/completions`. */
export const createChatCompletion = z
  .looseObject({
    model: z.string().min(1).describe('The namespace or an alias of a model that serves chat'),
    messages: z.array(message).min(1).describe('The conversation so far'),
    stream: z.boolean().nullish().describe('Send the answer while it is made, as server-sent events'),
    stream_options: z
      .looseObject({ include_usage: z.boolean().optional().describe('A last chunk with the tokens') })
      .nullish()
      .describe('For streams'),
    max_tokens: z.int().min(1).nullish().describe('The longest answer; 4096 unless given'),
    max_completion_tokens: z.int().min(1).nullish().describe('The same, by its newer name'),
    ...sampling,
    n: z.int().min(1).max(16).nullish().describe('How many answers'),
    stop: z
      .union([z.string(), z.array(z.string()).max(16)])
      .nullish()
      .describe('Where to end'),
    presence_penalty: z.number().min(-2).max(2).nullish().describe('Against what was said at all'),
    frequency_penalty: z.number().min(-2).max(2).nullish().describe('Against what was said often'),
    tools: z.array(tool).max(512).nullish().describe('Functions that the model may call'),
    tool_choice: z.unknown().optional().describe('none, auto, required, or one function by its name'),
    response_format: z
      .looseObject({ type: z.string() })
      .nullish()
      .describe('text, json_object or json_schema'),
    store: z.boolean().nullish().describe('Keep request and answer, to be got by the id of the answer'),
  })
  .meta({ id: 'CreateChatCompletion' })

const severity = z.object({
  filtered: z.boolean(),
  severity: z.enum(['safe', 'low', 'medium', 'high']),
})

/** What the safety filter found in a text. */
export const contentFilterResults = z
  .object({ hate: severity, self_harm: severity, sexual: severity, violence: severity })
  .meta({ id: 'ContentFilterResults' })

/** Tokens, as the host reported them. */
export const usage = z
  .looseObject({ prompt_tokens: z.int(), completion_tokens: z.int(), total_tokens: z.int() })
  .meta({ id: 'ChatUsage' })

/** A whole answer. */
export const chatCompletion = z
  .looseObject({
    id: z.string(),
    object: z.literal('chat.completion'),
    created: z.int().describe('Unix seconds'),
    model: z.string().describe('As asked'),
    choices: z.array(
      z.looseObject({
        index: z.int(),
        message: z.looseObject({ role: z.literal('assistant'), content: z.string().nullable() }),
        finish_reason: z.string().nullable().describe('stop, length, tool_calls or content_filter'),
        content_filter_results: contentFilterResults,
      }),
    ),
    prompt_filter_results: z.array(
      z.object({ prompt_index: z.int(), content_filter_results: contentFilterResults }),
    ),
    usage: usage.optional(),
  })
  .meta({ id: 'ChatCompletion' })

/** `POST /v1/embeddings`. */
export const createEmbeddings = z
  .looseObject({
    model: z.string().min(1).describe('The namespace or an alias of a model that serves embeddings'),
    input: z
      .union([
        z.string().min(1),
        z.array(z.string()).min(1).max(2048),
        z.array(z.int()).min(1),
        z.array(z.array(z.int()).min(1)).min(1).max(2048),
      ])
      .describe('One text or up to 2048, as text or as tokens'),
    encoding_format: z
      .enum(['float', 'base64'])
      .nullish()
      .describe('base64: little-endian 32-bit floats, a third of the size'),
    dimensions: z.int().min(1).max(65_536).nullish().describe('Cut off after so many, and normalised again'),
  })
  .meta({ id: 'CreateEmbeddings' })

/** Its answer, in the order of the input. */
export const embeddings = z
  .object({
    object: z.literal('list'),
    data: z.array(
      z.object({
        object: z.literal('embedding'),
        index: z.int(),
        embedding: z.union([z.array(z.number()), z.string()]),
      }),
    ),
    model: z.string(),
    usage: z.object({ prompt_tokens: z.int(), total_tokens: z.int() }),
  })
  .meta({ id: 'Embeddings' })

export type CreateChatCompletion = z.infer<typeof createChatCompletion>
export type Embeddings = z.infer<typeof embeddings>
export type CreateEmbeddings = z.infer<typeof createEmbeddings>
export type ContentFilterResults = z.infer<typeof contentFilterResults>
