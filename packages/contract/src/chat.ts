import { z } from 'zod'
import { creditFields } from './credit-fields.ts'

/** What else a client sends goes to the host as it is, so that parameters of tomorrow work today. */
const part = z.looseObject({ type: z.string().describe('text, image_url, input_audio, file or refusal') })

const toolCall = z.looseObject({
  id: z.string().describe('Its id, which the `tool` message that answers it names'),
  function: z
    .looseObject({
      name: z.string().describe('Which function'),
      arguments: z.string().describe('With what, as JSON in a text'),
    })
    .optional()
    .describe('What was called'),
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
  type: z.string().describe('function, unless the host knows others'),
  function: z
    .looseObject({
      name: z.string().min(1).describe('The name by which the model calls it'),
      description: z.string().optional().describe('When to call it'),
      parameters: z.record(z.string(), z.unknown()).optional().describe('A JSON Schema of its arguments'),
    })
    .optional()
    .describe('What the model may call'),
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
      .looseObject({ type: z.string().describe('text, json_object or json_schema') })
      .nullish()
      .describe('What shape the answer has'),
    store: z.boolean().nullish().describe('Keep request and answer, to be got by the id of the answer'),
  })
  .meta({ id: 'CreateChatCompletion', description: 'A conversation that a model is to go on with' })

function found(what: string) {
  return z
    .object({
      filtered: z.boolean().describe('It was withheld for that'),
      severity: z.enum(['safe', 'low', 'medium', 'high']).describe('How bad it is; `safe` without a filter'),
    })
    .describe(what)
}

/** What the safety filter found in a text. */
export const contentFilterResults = z
  .object({
    hate: found('Hate and harassment'),
    self_harm: found('Harm to oneself'),
    sexual: found('Sexual content'),
    violence: found('Violence'),
  })
  .meta({ id: 'ContentFilterResults', description: 'What the safety filter found in a text' })

/** Tokens, as the host reported them. */
export const usage = z
  .looseObject({
    prompt_tokens: z.int().describe('Of what was asked'),
    completion_tokens: z.int().describe('Of what was answered'),
    total_tokens: z.int().describe('Both together'),
  })
  .meta({ id: 'ChatUsage', description: 'Tokens, as the host of the model counted them' })

const choice = z.looseObject({
  index: z.int().describe('Which of the answers, from 0'),
  message: z
    .looseObject({
      role: z.literal('assistant').describe('Who says it'),
      content: z.string().nullable().describe('The text; null where only tools are called'),
    })
    .describe('What the model says, and which tools it calls'),
  finish_reason: z.string().nullable().describe('stop, length, tool_calls or content_filter'),
  content_filter_results: contentFilterResults,
})

/** A whole answer. */
export const chatCompletion = z
  .looseObject({
    id: z.string().describe('chatcmpl-…'),
    object: z.literal('chat.completion').describe('What this is'),
    created: z.int().describe('Unix seconds'),
    model: z.string().describe('As asked'),
    choices: z.array(choice).describe('The answers: one, or `n` of them'),
    prompt_filter_results: z
      .array(
        z.object({
          prompt_index: z.int().describe('Always 0: the conversation is judged as a whole'),
          content_filter_results: contentFilterResults,
        }),
      )
      .describe('What the safety filter found in the conversation'),
    usage: usage.optional(),
    ...creditFields,
  })
  .meta({ id: 'ChatCompletion', description: 'A whole answer to a conversation' })

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
  .meta({ id: 'CreateEmbeddings', description: 'Texts of which vectors are to be made' })

/** Its answer, in the order of the input. */
export const embeddings = z
  .object({
    object: z.literal('list').describe('What this is'),
    data: z
      .array(
        z.object({
          object: z.literal('embedding').describe('What this is'),
          index: z.int().describe('Which of the texts, from 0'),
          embedding: z
            .union([z.array(z.number()), z.string()])
            .describe('Its numbers, or with `encoding_format: base64` their bytes'),
        }),
      )
      .describe('A vector for each text'),
    model: z.string().describe('As asked'),
    usage: z
      .object({
        prompt_tokens: z.int().describe('Of all texts together'),
        total_tokens: z.int().describe('The same'),
      })
      .describe('Tokens, counted by the host or else here'),
  })
  .meta({ id: 'Embeddings', description: 'Vectors, in the order of the texts' })

export type CreateChatCompletion = z.infer<typeof createChatCompletion>
export type Embeddings = z.infer<typeof embeddings>
export type CreateEmbeddings = z.infer<typeof createEmbeddings>
export type ContentFilterResults = z.infer<typeof contentFilterResults>
