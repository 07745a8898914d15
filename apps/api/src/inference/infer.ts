import type { Caller } from '@millrace/accounts/api-keys'
import type { RequestEnd } from '@millrace/activity/logged-request'
import { errors } from '@millrace/contract/errors'
import type { RequestSurface } from '@millrace/database/tables'
import { InferenceFault } from '@millrace/inference/fault'
import { newRouteReport, type RouteReport } from '@millrace/inference/route-report'
import type { Taking } from '@millrace/limits/open-rates'
import type { ModelDescription } from '@millrace/models/description'
import { apiPaths } from '@millrace/models/present-model'
import type { Response } from 'express'
import { asApiError } from '../answer-error.ts'
import { ApiError } from '../api-error.ts'
import type { Context } from '../context.ts'
import { tellCredits } from '../credits.ts'
import { findModel } from '../draft-prediction.ts'
import { mayUse, type Rules, refuseForbidden } from '../permitted-models.ts'
import { holderOf, takeRequest } from '../rates.ts'
import { answered, type Incoming } from '../route.ts'
import { type Bill, costSoFar, leftAfter, settleBill } from './bill.ts'
import { type CallSignals, callSignals } from './call-signals.ts'
import { meterTokens, type Rated, type TokenMeter } from './meter-tokens.ts'

/**
 * One call for inference, from its begin to its row in the activity log, whatever surface it came by. `work` does it and
 * answers what is to be sent; a stream it has sent itself, and what went wrong in the middle of it is in `call.note`.
 */
export async function infer<T>(
  { context, caller, response }: Pick<Incoming<never>, 'context' | 'caller' | 'response'>,
  asked: Asked,
  work: (call: Call) => Promise<T>,
): Promise<T> {
  const origin = {
    id: response.locals.requestId as string | undefined,
    accountId: caller.accountId,
    rules: caller,
    rated: { holder: holderOf(caller), family: response.locals.family, response },
    enter: async () => (asked.isCreate ? undefined : takeRequest(context, response, asked.slug)),
    key: { id: caller.keyId, name: caller.keyName },
    requestId: String(response.getHeader('x-request-id')),
    signals: callSignals(response, context.cutting.signal),
    whenGone: 'The client went away.',
  }
  return inferFor(context, origin, asked, async (call) => {
    // Known by the time of the answer, mostly.
    void context.till.balanceOf(caller.accountId)
    const answer = await work({ ...call, caller, response })
    if (answer !== answered) tellCredits(response, costSoFar(call), await leftAfter(call))
    return answer
  })
}

/** The same for whoever asks without a connection, such as a batch. */
export async function inferFor<T>(
  context: Context,
  { id, accountId, rules, key, rated, enter, requestId, signals, whenGone }: Origin,
  { surface, slug, stream, needs = surface === 'embeddings' ? 'embeddings' : 'chat' }: Asked,
  work: (call: QuietCall) => Promise<T>,
): Promise<T> {
  const begun = performance.now()
  const logged = context.requests.start({ id, accountId, requestId, key, surface, model: slug, stream })
  const note: Note = {}
  const report = newRouteReport()
  const multiplier = rules.plan.price_multiplier
  const bill: Bill = { id: logged.id, accountId, keyId: key?.id, multiplier, begun, isHeld: false }
  let taken: Taking | undefined
  const tokens = meterTokens(context, { slug, ...rated, taken: () => taken })
  const takeTokens = tokens.take
  const call = { context, slug, requestId, ...signals, report, note, bill, firstByte, allows, takeTokens }
  // Nobody waits for that: where no host counted the tokens, counting them takes a moment.
  const close = async (isAnswered: boolean) => {
    signals.done()
    const durationMs = Math.round(performance.now() - begun)
    const end = endOf({ note, report, gone: signals.gone, whenGone })
    note.tokens ??= await note.count?.().catch(() => undefined)
    const credits = settleBill(context, call, stream ? note.opened === true : isAnswered)
    logged.end({ ...end, durationMs, tokens: note.tokens, credits })
    tokens.settle(note.tokens)
  }
  function allows(model: ModelDescription): boolean {
    return mayUse(rules, model)
  }
  function firstByte(): void {
    note.firstByteMs ??= Math.round(performance.now() - begun)
  }
  try {
    taken = await enter?.()
    const answer = await work({ ...call, model: servedBy(context, rules, slug, needs) })
    // What a stream has sent it has told itself.
    if (!note.opened) firstByte()
    void close(true)
    return answer
  } catch (error) {
    const fault = noteFault(call, error)
    void close(false)
    // What nobody foresaw is logged whole where it is answered.
    throw error instanceof InferenceFault && fault ? fault : error
  }
}

/**
 * Notes why a call ends before its answer does, the first reason that is told; what it says is for the operator's log as
 * well. Answers it in the words of the API, undefined where nobody is there to hear them.
 */
export function noteFault(
  { context, requestId, gone, report, note }: Omit<QuietCall, 'model' | 'bill'>,
  error: unknown,
): ApiError | undefined {
  if (note.fault) return note.fault
  if (gone.aborted && (error === gone.reason || !isForeseen(error))) {
    note.abandoned = true
    return undefined
  }
  note.fault = asInferenceError(error)
  if (error instanceof InferenceFault && error.cause !== undefined)
    context.log.warn({ err: error, request_id: requestId, tries: report.tries }, 'inference failed')
  // Without a status to answer it with, nobody else will.
  if (note.opened && note.fault.id === 'INTERNAL_ERROR')
    context.log.error({ err: error, request_id: requestId }, 'a stream failed')
  return note.fault
}

function isForeseen(error: unknown): boolean {
  return error instanceof InferenceFault || error instanceof ApiError
}

/**
 * The model of a slug. Throws MODEL_NOT_FOUND, MODEL_NOT_SUPPORTED where another surface serves it, and MODEL_FORBIDDEN.
 */
export function servedBy(context: Context, rules: Rules, slug: string, needed: Needed): ModelDescription {
  const model = findModel(context, slug)
  const serves = model.apis.includes(needed) || (needed === 'chat' && model.apis.includes('responses'))
  if (serves) {
    refuseForbidden(rules, model)
    return model
  }
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

function endOf({ note, report, gone, whenGone }: Ended): Omit<RequestEnd, 'durationMs'> {
  const { fault, opened, whole, abandoned, firstByteMs } = note
  const { served, tries } = report
  const known = {
    servedModel: served?.model,
    host: served?.host ?? tries.at(-1)?.host,
    tries: tries.map(({ host, model, ms, fault: failed }) => ({ host, model, ms, fault: failed?.message })),
    firstByteMs,
  }
  if (fault === undefined && (abandoned || (gone.aborted && !whole))) {
    const httpStatus = opened ? 200 : clientGone
    return { ...known, status: 'cancelled', httpStatus, failure: whenGone }
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
  /** It is answered by a prediction, whose creation is what counts as a request. */
  isCreate?: boolean
}

type Needed = 'chat' | 'embeddings'

/** Who asks. */
interface Origin {
  /** Of its row in the activity log, where it has one of its own. */
  id?: string | undefined
  accountId: string
  /** Which models may serve it. */
  rules: Rules
  key?: { id: string; name: string }
  /** Whose rates it counts in. */
  rated: Rated
  /** Counts it as a request, where nobody has done so before. What is refused for that has its row as well. */
  enter?(): Promise<Taking | undefined>
  requestId: string
  signals: CallSignals
  /** What the activity log says of a call whose answer nobody waits for any more. */
  whenGone: string
}

/** One call under way, and where its answer goes. */
export interface Call extends QuietCall {
  caller: Caller
  response: Response
}

/** One call under way. */
export interface QuietCall extends Pick<CallSignals, 'gone' | 'signal'> {
  context: Context
  model: ModelDescription
  /** As asked: what answers call the model. */
  slug: string
  requestId: string
  report: RouteReport
  note: Note
  bill: Bill
  /** Whether a model may stand in for it. */
  allows(model: ModelDescription): boolean
  /** Counts its tokens against the rates of its caller, before a host is asked: once, however often that is. */
  takeTokens: TokenMeter['take']
  /** Says that the answer begins. */
  firstByte(): void
}

/** What the activity log is told in the end. */
export interface Note {
  /** A stream has begun: its status is 200 whatever comes. */
  opened?: true
  /** The answer has come to its end. */
  whole?: boolean
  /** Its client went before it was over. */
  abandoned?: true
  firstByteMs?: number
  tokens?: Tokens | undefined
  /** The answer says something: a text, a call of a tool, a vector. */
  said?: true
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
  whenGone: string
}
