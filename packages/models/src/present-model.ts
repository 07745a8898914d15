import type { ModelDescription } from './description.ts'
import { withFileLimits } from './file-limits.ts'
import type { JsonSchema } from './schema.ts'

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
    apis: [{ name: 'predictions', path: '/v1/predictions' }],
    privacy: 'private',
    img_url: null,
    vendor: house,
    billable: false,
    pricing: { amount: 0, currency: 'USD', unit: 'prediction', per: 1 },
    capabilities: model.capabilities,
    metadata: { edge_compatible: false, openai_compatible: false, cold_boot: true },
    status: 'operational',
    service: { type: 'native', inference_party: 'millrace' },
    input_schema: schemas.includes('input_schema')
      ? withFileLimits(model.input_schema, model.inputFiles)
      : {},
    output_schema: schemas.includes('output_schema') ? model.output_schema : {},
  }
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

/** The wire shape of a model (native-api §6). */
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
  pricing: { amount: number; currency: 'USD'; unit: string; per: 1 | 1000 | 1_000_000 }
  capabilities: string[]
  metadata: { edge_compatible: boolean; openai_compatible: boolean; cold_boot: boolean }
  status: 'operational' | 'offline'
  service: { type: 'native' | 'partner'; inference_party: string }
  input_schema: JsonSchema
  output_schema: JsonSchema
}
