import type { EndpointDefinition } from '@millrace/contract/endpoint'
import { endpoints } from '@millrace/contract/endpoints'

/** What a client of this service calls, as the contract has it: all but what is of the service itself. */
export const usefulEndpoints: readonly EndpointDefinition[] = Object.values<EndpointDefinition>(
  endpoints,
).filter(({ tag, open }) => tag !== 'Service' && !open)
