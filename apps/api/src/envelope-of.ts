import type { EndpointDefinition } from '@millrace/contract/endpoint'
import { endpoints } from '@millrace/contract/endpoints'

/**
 * The shape of errors at a path, as the contract has it for the endpoints there. By the path, so that a request that no
 * route takes, with a broken path or the wrong method, is answered like its neighbours.
 */
export function envelopeOf(path: string): 'inference' | 'rest' {
  return inference.some((spelling) => spelling.test(path)) ? 'inference' : 'rest'
}

/** As the router reads paths: capitals are the same, and a slash at the end is none. */
const inference = Object.values<EndpointDefinition>(endpoints)
  .filter(({ envelope }) => envelope === 'inference')
  .flatMap(({ path, aliases = [] }) => [path, ...aliases.map((alias) => alias.path)])
  .map((path) => new RegExp(`^${path.replaceAll(/\{\w+\}/g, '[^/]+')}/?$`, 'i'))
