import { z } from 'zod'
import type { EndpointDefinition } from '../endpoint.ts'
import { anthropicModel, anthropicModelList, model, modelArray, modelHealth, modelList } from '../model.ts'

const slug = z.object({ slug: z.string().describe('The namespace or an alias of a model, percent-encoded') })

const schemaFields = z.object({ fields: z.string().optional().describe('input_schema,output_schema') })

/** The models and how they do. */
export const modelEndpoints = {
  listModels: {
    method: 'get',
    path: '/v1/models',
    tag: 'Models',
    scope: 'models:read',
    summary: 'List models',
    description:
      'Whatever the plan of the account and the key may use and is not unlisted. Schemas are `{}` unless `fields` asks for them.',
    anthropicToo: true,
    query: schemaFields,
    errors: ['INVALID_PARAMETER'],
    replies: {
      200: {
        description:
          'A bare array with `x-api-key`; OpenAI’s list without; Anthropic’s with `anthropic-version`',
        schema: z.union([modelArray, modelList, anthropicModelList]),
      },
    },
  },
  getModel: {
    method: 'get',
    path: '/v1/models/{slug}',
    tag: 'Models',
    scope: 'models:read',
    summary: 'Get a model',
    description:
      'One model, by its namespace or an alias. Its schemas are there only when `fields` asks for them.',
    anthropicToo: true,
    params: slug,
    query: schemaFields,
    aliases: [{ method: 'get', path: '/v1/model/{slug}', dialect: 'skytells' }],
    errors: ['MODEL_NOT_FOUND', 'MODEL_FORBIDDEN', 'INVALID_PARAMETER'],
    replies: {
      200: {
        description: 'The model; as Anthropic’s clients read it with `anthropic-version`',
        schema: z.union([model, anthropicModel]),
      },
    },
  },
  getModelHealth: {
    method: 'get',
    path: '/v1/models/{slug}/health',
    tag: 'Models',
    scope: 'models:read',
    summary: 'Get how a model does: its queue, its workers and its run times',
    description:
      'What waits and runs, who serves it, how its hosts do, how long runs take, and in `reason` what keeps it from being run.',
    params: slug,
    errors: ['MODEL_NOT_FOUND', 'MODEL_FORBIDDEN'],
    replies: { 200: { description: 'As of a moment ago', schema: modelHealth } },
  },
} as const satisfies Record<string, EndpointDefinition>
