import type { EndpointDefinition } from '@millrace/contract/endpoint'
import { endpoints } from '@millrace/contract/endpoints'

/**
 * The shape of errors at a path, as the contract has it for the endpoints there. By the path, so that a request that no
 * route takes, with a broken path or the wrong method, is answered like its neighbours. Some are called by Anthropic's
 * clients, too, which say their version.
 */
export function envelopeOf(path: string, anthropicVersion?: string): Envelope {
  const spelling = spellings.find(({ shape }) => shape.test(path))
  return (anthropicVersion === undefined ? undefined : spelling?.versioned) ?? spelling?.envelope ?? 'rest'
}

/** As the router reads paths: capitals are the same, and a slash at the end is none. */
const spellings = Object.values<EndpointDefinition>(endpoints).flatMap(
  ({ envelope, anthropicToo, path, aliases = [] }) =>
    envelope === undefined && !anthropicToo
      ? []
      : [path, ...aliases.map((alias) => alias.path)].map((spelling) => ({
          envelope,
          versioned: anthropicToo ? ('anthropic' as const) : undefined,
          shape: new RegExp(`^${spelling.replaceAll(/\{\w+\}/g, '[^/]+')}/?$`, 'i'),
        })),
)

type Envelope = NonNullable<EndpointDefinition['envelope']> | 'rest'
