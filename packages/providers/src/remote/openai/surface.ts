import { takesFiles } from '@millrace/models/file-fields'
import type { ModelType } from '@millrace/models/model-types'
import type { openaiSurfaces } from '@millrace/models/provider-settings'
import { Unavailable } from '../faults.ts'
import type { RemoteModel } from '../open-remote.ts'

/** Which route serves a model: what its settings say, else its capabilities, else its type. Throws Unavailable. */
export function surfaceOf({ provider, capabilities, type, input_schema }: RemoteModel): Surface {
  const stated = 'surface' in provider ? provider.surface : undefined
  const able = capabilities.map((capability) => byCapability[capability]).find(Boolean)
  const found = stated ?? able ?? byType[type] ?? (takesFiles(input_schema) ? 'transcriptions' : undefined)
  if (found) return found
  // Whoever wrote the model's file can mend that; who asks for a prediction cannot.
  throw new Unavailable("The model's settings do not say which surface of its host serves it.")
}

const byCapability: Record<string, Surface> = {
  'text-to-image': 'images',
  'image-to-image': 'images',
  'text-to-speech': 'speech',
  'speech-to-text': 'transcriptions',
  'audio-to-text': 'transcriptions',
  'text-to-video': 'videos',
  'image-to-video': 'videos',
}

const byType: Partial<Record<ModelType, Surface>> = {
  image: 'images',
  audio: 'speech',
  music: 'speech',
  video: 'videos',
}

/** A group of routes of an OpenAI-compatible host. */
export type Surface = (typeof openaiSurfaces)[number]
