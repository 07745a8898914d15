import { isBillable } from '@millrace/ledger/price'
import { missingVariables } from './config.ts'
import type { ModelDescription } from './description.ts'
import { withFileLimits } from './file-limits.ts'
import type { JsonSchema } from './schema.ts'
import { type Api, servedApis } from './served-apis.ts'
import { variablesOf } from './variables.ts'

/** A model as `/v1/models` shows it, with every key always. A schema that was not asked for is `{}`, as lists have it. */
export function presentModel(
  model: ModelDescription,
  { schemas }: { schemas: readonly SchemaName[] },
): PresentedModel {
  return {
    name: model.name,
    namespace: model.namespace,
    description: model.description,
    type: model.type,
    apis: servedApis(model).map((name) => ({ name, path: apiPaths[name] })),
    privacy: 'private',
    img_url: null,
    vendor: vendorOf(model),
    billable: isBillable(model.pricing),
    pricing: model.pricing ?? { amount: 0, currency: 'USD', unit: 'prediction', per: 1 },
    capabilities: model.capabilities,
    context_length: model.context_length ?? null,
    max_output_tokens: model.max_output_tokens ?? null,
    metadata: {
      edge_compatible: false,
      openai_compatible: !model.apis.includes('predictions'),
      cold_boot: true,
    },
    status: lackOf(model) === null ? 'operational' : 'offline',
    reason: lackOf(model),
    service: model.service,
    aliases: model.aliases,
    version: model.versionId,
    version_label: model.version ?? null,
    input_schema: schemas.includes('input_schema')
      ? withFileLimits(model.input_schema, model.inputFiles)
      : {},
    output_schema: schemas.includes('output_schema') ? model.output_schema : {},
  }
}

/** Where each surface that may serve a model is. */
export const apiPaths: Readonly<Record<Api, string>> = {
  predictions: '/v1/predictions',
  chat: '/v1/chat/completions',
  responses: '/v1/responses',
  messages: '/v1/messages',
  embeddings: '/v1/embeddings',
  images: '/v1/images/generations',
  speech: '/v1/audio/speech',
  transcriptions: '/v1/audio/transcriptions',
  videos: '/v1/videos',
}

/** What a model needs that this process does not know, in words: its variables, and what it takes. Null where it has all. */
export function lackOf(model: ModelDescription): string | null {
  const missing = missingVariables(variablesOf(model))
  if (missing.length > 0) {
    return `It needs ${missing.join(' and ')}, which ${missing.length === 1 ? 'is' : 'are'} not set.`
  }
  return model.statesInput ? null : 'Its container has not told yet what it takes.'
}

function vendorOf({ vendor }: ModelDescription): PresentedModel['vendor'] {
  if (!vendor) return house
  const slug = vendor.name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')
  return { ...vendor, slug: vendor.slug ?? slug, metadata: {} }
}

const house = {
  name: 'Millrace',
  description: 'Models that run on this installation',
  image_url: null,
  verified: true,
  slug: 'millrace',
  metadata: {},
} as const

/** The schemas that `?fields=` may ask for. */
export type SchemaName = 'input_schema' | 'output_schema'

/** A model on the wire. */
export interface PresentedModel {
  name: string
  namespace: string
  description: string
  type: ModelDescription['type']
  apis: { name: string; path: string }[]
  privacy: 'private'
  img_url: string | null
  vendor: {
    name: string
    description: string
    image_url: string | null
    verified: boolean
    slug: string
    metadata: Record<string, unknown>
  }
  billable: boolean
  pricing: NonNullable<ModelDescription['pricing']>
  capabilities: string[]
  /** Tokens. */
  context_length: number | null
  max_output_tokens: number | null
  metadata: { edge_compatible: boolean; openai_compatible: boolean; cold_boot: boolean }
  status: 'operational' | 'offline'
  /** Why it is offline. */
  reason: string | null
  service: ModelDescription['service']
  aliases: string[]
  /** The id of its state, which a create may insist on. */
  version: string
  version_label: string | null
  input_schema: JsonSchema
  output_schema: JsonSchema
}
