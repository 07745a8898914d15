import type { EndpointDefinition } from './endpoint.ts'
import type { RateFamily } from './plan.ts'
import type { Tag } from './tags.ts'

/** The group of routes whose rates an endpoint counts against; undefined for those that need no key. */
export function familyOf({ tag, open }: Pick<EndpointDefinition, 'tag' | 'open'>): RateFamily | undefined {
  return open ? undefined : families[tag]
}

const families: Readonly<Record<Tag, RateFamily | undefined>> = {
  Predictions: 'predictions',
  Run: 'predictions',
  Batches: 'predictions',
  Inference: 'inference',
  Files: 'files',
  Models: 'management',
  Webhooks: 'management',
  Keys: 'management',
  Billing: 'management',
  Activity: 'management',
  Admin: 'management',
  Service: undefined,
}
