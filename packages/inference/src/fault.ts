/**
 * What went wrong with a request for inference, in the words of the API (native-api §8). Its message is for the caller
 * and names neither a host's address nor a secret; `cause` is for the operator's log.
 */
export class InferenceFault extends Error {
  readonly errorId: InferenceErrorId
  readonly about: FaultDetails

  constructor(errorId: InferenceErrorId, message: string, about: FaultDetails = {}) {
    super(message, { cause: about.cause })
    this.name = 'InferenceFault'
    this.errorId = errorId
    this.about = about
  }
}

/** The errors that inference itself may end in. */
export type InferenceErrorId =
  | 'INVALID_REQUEST'
  | 'INVALID_PARAMETER'
  | 'CONTENT_POLICY_VIOLATION'
  | 'RATE_LIMITED'
  | 'INFERENCE_ERROR'
  | 'SERVICE_UNAVAILABLE'
  | 'INFERENCE_TIMEOUT'

/** What is known beside the words. */
export interface FaultDetails {
  /** The parameter that it is about. */
  param?: string | undefined
  /** Another host, or the same one later, may serve what this one did not. */
  elsewhere?: boolean | undefined
  /** What the host asked for itself. */
  retryAfterSeconds?: number | undefined
  /** The host is away or broken, and the next request would find it so: its breaker counts it. */
  down?: boolean | undefined
  /** The host has no room now: it is well. */
  busy?: boolean | undefined
  cause?: unknown
}
