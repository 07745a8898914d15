/** What a model makes, in the words of the API. */
export const modelTypes = [
  'image',
  'video',
  'audio',
  'music',
  'text',
  'code',
  'multimodal',
  'document',
  'web',
  'search',
  'email',
  'data',
] as const

/** One of `modelTypes`. */
export type ModelType = (typeof modelTypes)[number]
