import { InferenceFault } from '@millrace/inference/fault'
import type { Response } from 'express'
import { goneSignal } from '../create.ts'

/** Who may end a call before its answer does: its client, by going, and this server, when it stops. */
export function callSignals(response: Response, cutting: AbortSignal): CallSignals {
  const gone = goneSignal(response)
  const either = new AbortController()
  const leave = () => either.abort(gone.reason)
  const cut = () => either.abort(stopping())
  if (cutting.aborted) cut()
  else cutting.addEventListener('abort', cut, { once: true })
  if (gone.aborted) leave()
  else gone.addEventListener('abort', leave, { once: true })
  return { gone, signal: either.signal, done: () => cutting.removeEventListener('abort', cut) }
}

/** Says nothing of the host that was at it. */
function stopping(): InferenceFault {
  return new InferenceFault('SERVICE_UNAVAILABLE', 'The server is stopping. Send the request again.', {
    elsewhere: true,
    retryAfterSeconds: 1,
  })
}

export interface CallSignals {
  /** The client has gone. */
  gone: AbortSignal
  /** The client has gone, or the server stops. Its reason is what the call then throws. */
  signal: AbortSignal
  /** Lets go of the server's signal, which outlives the call. */
  done(): void
}
