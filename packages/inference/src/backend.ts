import type { ChatChunk, ChatCompletion, ChatRequest } from './chat.ts'
import type { Embeddings, EmbeddingsRequest } from './embeddings.ts'

/**
 * One place that answers for a model: a host over HTTP, or a module in a process of ours. It tries once; whoever routes
 * tries again. All it throws is `InferenceFault`, or the signal's reason when that fired.
 */
export interface Backend {
  /** What its breaker and the log know it by: an origin, or `module`. */
  host: string
  /**
   * Resolves when the answer is whole, or when the first chunk of its stream has come: until then nothing was said, and
   * somebody else may be asked. A stream ends after the chunk with a `finish_reason` (and the usage that may follow);
   * what is cut before that throws. Returning the generator early closes the connection.
   */
  chat(request: ChatRequest, call: BackendCall): Promise<ChatReply>
  embed(request: EmbeddingsRequest, call: BackendCall): Promise<Embeddings>
}

/** One request's way through. */
export interface BackendCall {
  /** The client has gone, or the time is over. */
  signal: AbortSignal
  /** `x-request-id`, passed to the host. */
  requestId: string
  /** Told, when the stream is over, how much of it could not be read and was left out. */
  onSkipped?: ((lines: number) => void) | undefined
}

/** An answer in the way that it was asked for. */
export type ChatReply =
  | { kind: 'whole'; completion: ChatCompletion }
  | { kind: 'stream'; chunks: AsyncGenerator<ChatChunk, void> }
