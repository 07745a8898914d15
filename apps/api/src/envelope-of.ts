import type { EndpointDefinition } from '@millrace/contract/endpoint'
import { endpoints } from '@millrace/contract/endpoints'

/**
 * The shape of errors at a path, as the contract has it for the endpoints there. By the path, so that a request that no
 * route takes, with a broken path or the wrong method, is answered like its neighbours. The models are asked for by
 * Anthropic's clients, too, which say their version.
 */
export function envelopeOf(path: string, anthropicVersion?: string): Envelope {
  if (anthropicVersion !== undefined && /^\/v1\/models(\/|$)/i.test(path)) return 'anthropic'
  return spellings.find(({ shape }) => shape.test(path))?.envelope ?? 'rest'
}

/** As the router reads paths: capitals are the same, and a slash at the end is none. */
const spellings = Object.values<EndpointDefinition>(endpoints).flatMap(({ envelope, path, aliases = [] }) =>
  envelope === undefined
    ? []
    : [path, ...aliases.map((alias) => alias.path)].map((spelling) => ({
        envelope,
        shape: new RegExp(`^${spelling.replaceAll(/\{\w+\}/g, '[^/]+')}/?$`, 'i'),
      })),
)

type Envelope = NonNullable<EndpointDefinition['envelope']> | 'rest'
