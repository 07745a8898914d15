import type { Kind } from './open-remote.ts'
import { performImages } from './openai/images.ts'
import { performSpeech } from './openai/speech.ts'
import { type Surface, surfaceOf } from './openai/surface.ts'
import { performTranscription } from './openai/transcription.ts'
import { performVideo } from './openai/videos.ts'

/** Any host that speaks as OpenAI's API does. Chat and embeddings are not predictions, and are not here. */
export const openai: Kind<'openai'> = {
  // Its routes take files as parts of a form.
  wants: 'paths',
  async perform(call) {
    return surfaces[surfaceOf(call.description)](call)
  },
}

const surfaces: Record<Surface, Kind<'openai'>['perform']> = {
  images: performImages,
  speech: performSpeech,
  transcriptions: performTranscription,
  videos: performVideo,
}
