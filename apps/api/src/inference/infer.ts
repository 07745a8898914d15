import type { Caller } from '@millrace/accounts/api-keys'
import type { RequestEnd } from '@millrace/activity/logged-request'
import { errors } from '@millrace/contract/errors'
import type { RequestSurface } from '@millrace/database/tables'
import { InferenceFault } from '@millrace/inference/fault'
import { newRouteReport, type RouteReport } from '@millrace/inference/route-report'
import type { ModelDescription } from '@millrace/models/description'
import { apiPaths } from '@millrace/models/present-model'
import type { Response } from 'express'
import { asApiError } from '../answer-error.ts'
import { ApiError } from '../api-error.ts'
import type { Context } from '../context.ts'
import { goneSignal } from '../create.ts'
import { findModel } from '../draft-prediction.ts'
import type { Incoming } from '../route.ts'

/**
 * One call for inference, from its begin to its row in the activity log, whatever surface it came by. `work` does it and
 * answers what is to be sent; a stream it has sent itself, and what went wrong in the middle of it is in `call.note`.
 */
export async function infer<T>(
  { context, caller, response }: Pick<Incoming<never>, 'context' | 'caller' | 'response'>,
  { surface, slug, stream, needs = surface === 'embeddings' ? 'embeddings' : 'chat' }: Asked,
  work: (call: Call) => Promise<T>,
): Promise<T> {
  const begun = performance.now()
  const requestId = String(response.getHeader('x-request-id'))
  const logged = context.requests.start({
    accountId: caller.accountId,
    requestId,
    key: { id: caller.keyId, name: caller.keyName },
    surface,
    model: slug,
    stream,
  })
  const gone = goneSignal(response)
  const note: Note = {}
  const report = newRouteReport()
  // Nobody waits for that: where no host counted the tokens, counting them takes a moment.
  const close = async () => {
    const durationMs = Math.round(performance.now() - begun)
    const end = endOf({ note, report, gone })
    const tokens = note.tokens ?? (await note.count?.().catch(() => undefined))
    logged.end({ ...end, durationMs, tokens })
  }
  const firstByte = () => {
    note.firstByteMs ??= Math.round(performance.now() - begun)
  }
  try {
    const model = servedBy(context, slug, needs)
    const answer = await work({
      context,
      caller,
      response,
      model,
      slug,
      requestId,
      signal: gone,
      report,
      note,
      firstByte,
    })
    firstByte()
    void close()
    return answer
  } catch (error) {
    const known = asInferenceError(error)
    note.fault ??= known
    if (error instanceof InferenceFault && error.cause !== undefined)
      context.log.warn({ err: error, request_id: requestId, tries: report.tries }, 'inference failed')
    void close()
    throw known
  }
}

/** The model of a slug. Throws MODEL_NOT_FOUND, and MODEL_NOT_SUPPORTED where another surface serves it. */
function servedBy(context: Context, slug: string, needed: Needed): ModelDescription {
  const model = findModel(context, slug)
  const serves = model.apis.includes(needed) || (needed === 'chat' && model.apis.includes('responses'))
  if (serves) return model
  const paths = model.apis.map((api) => `POST ${apiPaths[api]}`).join(' or ')
  throw new ApiError('MODEL_NOT_SUPPORTED', `The model "${model.namespace}" is served by ${paths}.`, {
    fields: [{ path: 'model', message: `is served by ${paths}` }],
  })
}

/** What went wrong, in the words of the API. */
export function asInferenceError(error: unknown): ApiError {
  if (!(error instanceof InferenceFault)) return asApiError(error)
  const { param, retryAfterSeconds } = error.about
  return new ApiError(error.errorId, error.message, {
    ...(param === undefined ? {} : { fields: [{ path: param, message: error.message }] }),
    ...(retryAfterSeconds === undefined
      ? {}
      : { headers: { 'retry-after': String(Math.max(1, Math.ceil(retryAfterSeconds))) } }),
  })
}

function endOf({ note, report, gone }: Ended): Omit<RequestEnd, 'durationMs'> {
  const { fault, opened, whole, firstByteMs } = note
  const { served, tries } = report
  const known = {
    servedModel: served?.model,
    host: served?.host ?? tries.at(-1)?.host,
    tries: tries.map(({ host, model, ms, fault: failed }) => ({ host, model, ms, fault: failed?.message })),
    firstByteMs,
  }
  if (gone.aborted && (fault !== undefined || !whole)) {
    const httpStatus = opened ? 200 : clientGone
    return { ...known, status: 'cancelled', httpStatus, failure: 'The client went away.' }
  }
  if (fault === undefined) return { ...known, status: 'succeeded', httpStatus: 200 }
  return {
    ...known,
    status: fault.id === 'INFERENCE_TIMEOUT' ? 'timeout' : 'failed',
    httpStatus: opened ? 200 : errors[fault.id].status,
    errorId: fault.id,
    failure: fault.message,
  }
}

/** What proxies log for a request whose client has gone. */
const clientGone = 499

interface Asked {
  surface: RequestSurface
  /** The model, as asked. */
  slug: string
  stream: boolean
  /** What the model must be able to; chat, or on that surface embeddings, unless stated. */
  needs?: Needed
}

type Needed = 'chat' | 'embeddings'

/** One call under way. */
export interface Call {
  context: Context
  caller: Caller
  response: Response
  model: ModelDescription
  /** As asked: what answers call the model. */
  slug: string
  requestId: string
  /** The client has gone. */
  signal: AbortSignal
  report: RouteReport
  note: Note
  /** Says that the answer begins. */
  firstByte(): void
}

/** What the activity log is told in the end. */
export interface Note {
  /** A stream has begun: its status is 200 whatever comes. */
  opened?: true
  /** The answer has come to its end. */
  whole?: boolean
  firstByteMs?: number
  tokens?: Tokens
  /** Counts them, where no host did. */
  count?(): Promise<Tokens>
  /** What went wrong; in a stream that had begun, it is told there. */
  fault?: ApiError
}

type Tokens = NonNullable<RequestEnd['tokens']>

interface Ended {
  note: Note
  report: RouteReport
  gone: AbortSignal
}
