import type { MediaApi } from '@millrace/models/served-apis'

/**
 * What each surface's fields are called by models, the surface's own name always first, and which values of them say
 * nothing: OpenAI's clients send those whether the model has such a field or not.
 */
export const mediaFields: Readonly<Record<MediaApi, Readonly<Record<string, MediaField>>>> = {
  images: {
    prompt: { names: ['text', 'input'] },
    n: { names: ['num_outputs', 'num_images'], unsaid: [1] },
    size: { unsaid: ['auto'] },
    quality: { unsaid: ['auto', 'standard'] },
    style: { unsaid: ['vivid'] },
    background: { unsaid: ['auto'] },
    moderation: { unsaid: ['auto'] },
    output_format: { names: ['format'], unsaid: ['png'] },
    output_compression: { names: ['output_quality'], unsaid: [100] },
    partial_images: { unsaid: [0, 1, 2, 3] },
    user: { unsaid: 'anything' },
    safety_identifier: { unsaid: 'anything' },
  },
  speech: {
    input: { names: ['text', 'prompt'] },
    voice: { names: ['voice_id', 'speaker'], unsaid: 'anything' },
    response_format: { names: ['output_format', 'format'], unsaid: ['mp3'] },
    speed: { unsaid: [1] },
    instructions: {},
  },
  transcriptions: {
    language: {},
    prompt: {},
    // What the model cannot give is refused for that; others give it without being told.
    response_format: { unsaid: 'anything' },
    temperature: { unsaid: [0, '0'] },
    timestamp_granularities: { unsaid: ['segment'] },
  },
  videos: {
    prompt: { names: ['text', 'input'] },
    size: {},
    seconds: { names: ['duration', 'duration_seconds'], unsaid: ['4', 4] },
    user: { unsaid: 'anything' },
    safety_identifier: { unsaid: 'anything' },
  },
}

/** What models call the field of a surface's file; the first field that takes one, where it has another name. */
export const fileNames: Readonly<Record<MediaApi, readonly string[]>> = {
  images: ['image'],
  speech: [],
  transcriptions: ['file', 'audio'],
  videos: ['input_reference', 'image', 'first_frame'],
}

interface MediaField {
  names?: readonly string[]
  unsaid?: readonly unknown[] | 'anything'
}
