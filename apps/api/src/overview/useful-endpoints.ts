import type { EndpointDefinition } from '@millrace/contract/endpoint'
import { endpoints } from '@millrace/contract/endpoints'
import { usualScopes } from '@millrace/contract/scopes'

/** What a client of this service calls with a key like most, as the contract has it; nothing that is of the service itself. */
export const usefulEndpoints: readonly EndpointDefinition[] = Object.values<EndpointDefinition>(
  endpoints,
).filter(({ tag, scope }) => tag !== 'Service' && scope !== undefined && usualScopes.includes(scope))
