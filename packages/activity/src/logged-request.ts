import type { RequestStatus, RequestSurface, RequestTry } from '@millrace/database/tables'

/** What is known of a call when it begins. */
export interface RequestStart {
  /** Where it has one already: what is run again has the same row. */
  id?: string | undefined
  accountId: string
  /** As the reply says it in `x-request-id`. */
  requestId: string
  key?: { id: string; name: string } | undefined
  surface: RequestSurface
  /** As asked. */
  model: string
  stream: boolean
}

/** What came of it. */
export interface RequestEnd {
  status: Exclude<RequestStatus, 'running'>
  httpStatus: number
  errorId?: string | undefined
  /** For a person. */
  failure?: string | undefined
  /** The model that answered. */
  servedModel?: string | undefined
  host?: string | undefined
  /** All hosts that were asked, in order. */
  tries?: RequestTry[] | undefined
  durationMs: number
  /** Milliseconds from its begin until the first part of the answer went out. */
  firstByteMs?: number | undefined
  tokens?: { input: number; output: number; estimated: boolean } | undefined
  /** What it was charged, in millionths of a credit. */
  credits?: number | undefined
}

/** A call that has begun. */
export interface LoggedRequest {
  id: string
  end(end: RequestEnd): void
}
