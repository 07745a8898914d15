import { describeSettings, type ModelDescription } from '@millrace/models/description'
import { type CogContainer, type ContainerOptions, startCogContainer } from './cog-container.ts'

/** A Cog container and a description that aims at it. */
export async function openHost({ model = {}, ...options }: CogHostOptions = {}): Promise<CogHost> {
  const container = await startCogContainer(options)
  const description = describeSettings('/models/cog-here.json', {
    namespace: 'cog-here',
    type: 'text',
    concurrency: 8,
    input_schema: {
      type: 'object',
      required: ['do'],
      properties: {
        do: { type: 'string' },
        text: { type: 'string' },
        file: { type: 'string', format: 'uri' },
      },
    },
    provider: { kind: 'cog', url: container.url },
    ...model,
  })
  return Object.assign(container, { description, cannot: ['policy'] as const })
}

/** What the container is like, and what its description says. */
export interface CogHostOptions extends ContainerOptions {
  /** Of its description, beside what every one here says. */
  model?: Record<string, unknown>
}

/** What `openHost` answers: the container, and what tests of every kind ask of a host. */
export interface CogHost extends CogContainer {
  description: ModelDescription
  /** Cog has no word for a breach of a policy: it is a failure like any other. */
  cannot: readonly ['policy']
}
