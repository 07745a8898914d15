/** OpenAI's embeddings as they are on the wire. */
export interface EmbeddingsRequest {
  model: string
  input: string | string[] | number[] | number[][]
  encoding_format?: 'float' | 'base64' | undefined
  dimensions?: number | undefined
  [passedOn: string]: unknown
}

/** Vectors in the order of the input, and the tokens where the host counted them. */
export interface Embeddings {
  vectors: number[][]
  usage?: { prompt_tokens: number; total_tokens: number } | undefined
}
