import type { ModelDescription } from './description.ts'
import { fieldNamesOf, fileFieldOf, takesAnyField } from './input-fields.ts'

/**
 * The surfaces that serve a model: those its file states; one that chats does so in each of the three protocols; and
 * where it states none but `predictions`, also the one of OpenAI's media surfaces that follows from what it makes of what.
 */
export function servedApis(model: Served): Api[] {
  const { apis } = model
  if (apis.some((api) => api !== 'predictions'))
    return [...new Set(apis.flatMap((name): Api[] => (name === 'chat' ? chatApis : [name])))]
  return [...apis, ...mediaApis.filter((api) => follows(model, media[api]))]
}

const chatApis: Api[] = ['chat', 'responses', 'messages']

/** OpenAI's surfaces that run predictions. */
export const mediaApis = ['images', 'speech', 'transcriptions', 'videos'] as const

function follows({ type, capabilities, input_schema }: Served, rule: Rule): boolean {
  const turns = capabilities.filter((capability) => /-to-/.test(capability))
  const makes = turns.length > 0 ? turns.some((turn) => rule.turns.includes(turn)) : type === rule.type
  return makes && rule.takes(input_schema)
}

const takesText = (schema: Record<string, unknown>) =>
  takesAnyField(schema) || fieldNamesOf(schema).some((name) => ['prompt', 'text', 'input'].includes(name))

/** What a model says it turns into what; its type where it says nothing of that; and what its input must have. */
const media: Readonly<Record<MediaApi, Rule>> = {
  images: { turns: ['text-to-image'], type: 'image', takes: takesText },
  speech: { turns: ['text-to-speech'], type: 'audio', takes: takesText },
  transcriptions: {
    turns: ['speech-to-text', 'audio-to-text'],
    type: undefined,
    takes: (schema) => fileFieldOf(schema) !== undefined,
  },
  videos: { turns: ['text-to-video', 'image-to-video'], type: 'video', takes: takesText },
}

interface Rule {
  turns: readonly string[]
  type: ModelDescription['type'] | undefined
  takes: (schema: Record<string, unknown>) => boolean
}

type Served = Pick<ModelDescription, 'apis' | 'type' | 'capabilities' | 'input_schema'>

/** A surface, by its name. */
export type Api = ModelDescription['apis'][number] | 'messages'

/** One of OpenAI's surfaces that run predictions. */
export type MediaApi = (typeof mediaApis)[number]
