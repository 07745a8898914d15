import type { Caller } from '@millrace/accounts/api-keys'
import type { CreatePrediction } from '@millrace/contract/create-prediction'
import { errors } from '@millrace/contract/errors'
import { isTerminal } from '@millrace/contract/statuses'
import { databaseNow } from '@millrace/database/clock'
import { faultOf } from '@millrace/database/faults'
import { newId } from '@millrace/database/ids'
import { rowOf } from '@millrace/lifecycle/accept'
import type { PredictionRow } from '@millrace/lifecycle/present'
import type { ModelDescription } from '@millrace/models/description'
import { apiPaths } from '@millrace/models/present-model'
import { type Api, servedApis } from '@millrace/models/served-apis'
import type { Request, Response } from 'express'
import { ApiError } from './api-error.ts'
import type { Context } from './context.ts'
import { draftPrediction, findModel } from './draft-prediction.ts'
import { type Entry, enterLimits } from './enter-limits.ts'
import { findReplay, type Idempotency, idempotencyOf, inProgress, type Replay } from './idempotency-key.ts'
import { refuseForbidden } from './permitted-models.ts'
import type { TokenEstimate } from './rates.ts'
import { waitFor } from './wait-for.ts'

/**
 * The one way a prediction is created, whatever the dialect: idempotency look-up, checks, accept, and the wait that was
 * asked for. Answers the row and the status code to send: 201, or 200 when it has ended already, and on a replay the
 * code of the first answer.
 */
export async function create(incoming: Create): Promise<{ row: PredictionRow; statusCode: number }> {
  const { replay, idempotency, entry } = incoming.begun ?? (await beginCreate(incoming, incoming.body.model))
  if (replay) return answerReplay(incoming, replay)
  return createNew(incoming, idempotency, entry).catch((error: unknown) => {
    entry.leave()
    throw error
  })
}

/**
 * What comes before any look at the model: whether it is a repeat of an earlier create, and else whether the limits of
 * its caller let it in. For those who look at the model themselves, and create later.
 */
export async function beginCreate(
  {
    context,
    caller,
    request,
    response,
    raw,
  }: Pick<Create, 'context' | 'caller' | 'request' | 'response' | 'raw'>,
  slug: string,
): Promise<Begun> {
  context.acceptance.refuseWhenFull()
  const idempotency = idempotencyOf(request, raw)
  const replay = idempotency && (await findReplay(context, caller, idempotency))
  if (replay) return { idempotency, replay, entry: undefined }
  return { idempotency, replay: undefined, entry: await enterLimits(context, response, slug) }
}

async function createNew(
  incoming: Create,
  idempotency: Idempotency | undefined,
  entry: Entry,
): Promise<{ row: PredictionRow; statusCode: number }> {
  const { context, caller, request, body, waitSeconds } = incoming
  const model = findModel(context, body.model)
  if (incoming.api !== 'any') refuseOtherApi(model, incoming.api ?? 'predictions')
  refuseForbidden(caller, model)
  const id = incoming.id ?? newId()
  await context.refuseOverLimit({ caller, model, id, response: incoming.response })
  const draft = await draftPrediction(context, caller, body, {
    userAgent: request.get('user-agent'),
    id,
    inference: incoming.inference,
    requestId: String(incoming.response.getHeader('x-request-id')),
  })
  const statusCode = 201
  const keyed = { ...draft, idempotency: idempotency ? { ...idempotency, statusCode } : null }
  const accepted = await context.acceptance.add(keyed).catch((error: unknown) => {
    // What the first of two with one key took is not there for the second, which costs nothing.
    if (idempotency && error instanceof ApiError && errors[error.id].status === 402) return error
    throw idempotency && faultOf(error) === 'locked' ? inProgress() : error
  })
  if (accepted !== true && idempotency) {
    const first = await findReplay(context, caller, idempotency)
    if (!first) throw accepted || inProgress()
    await entry.undo()
    return answerReplay(incoming, first)
  }
  const made = rowOf(keyed)
  if (!isWorthWaiting(made, waitSeconds)) return { row: made, statusCode }
  const row = await waitUntilEnd(incoming, { id: keyed.id, isNew: true })
  return { row, statusCode: endedWithin(row, waitSeconds) ? 200 : statusCode }
}

/** Refuses a model that is served by other surfaces than this one, and names those. Throws MODEL_NOT_SUPPORTED. */
export function refuseOtherApi(model: ModelDescription, api: Api): void {
  const apis = servedApis(model)
  if (apis.includes(api)) return
  const paths = apis.map((one) => `POST ${apiPaths[one]}`).join(' or ')
  throw new ApiError('MODEL_NOT_SUPPORTED', `The model "${model.namespace}" is served by ${paths}.`)
}

/** The seconds a request wants to wait: `await: true`, or `Prefer: wait[=N]`, capped by AWAIT_SECONDS. */
export function waitSecondsOf({ config }: Context, request: Request, wanted: boolean | undefined): number {
  const prefer = /(?:^|[,;\s])wait(?:\s*=\s*(\d+))?/i.exec(request.get('prefer') ?? '')
  if (!prefer && !wanted) return 0
  return Math.min(prefer?.[1] === undefined ? config.AWAIT_SECONDS : Number(prefer[1]), config.AWAIT_SECONDS)
}

async function answerReplay(
  incoming: Create,
  replay: Replay,
): Promise<{ row: PredictionRow; statusCode: number }> {
  const { response, waitSeconds } = incoming
  response.set('idempotency-replayed', 'true')
  const row = isWorthWaiting(replay.row, waitSeconds)
    ? await waitUntilEnd(incoming, { id: replay.row.id, isNew: false })
    : replay.row
  return { row, statusCode: endedWithin(row, waitSeconds) ? 200 : replay.statusCode }
}

/** Whether it may end while it is waited for: not where it is to begin only after that. */
function isWorthWaiting({ run_at: runAt }: PredictionRow, waitSeconds: number): boolean {
  return waitSeconds > 0 && (runAt?.getTime() ?? 0) < databaseNow() + waitSeconds * 1000
}

/** Whether a wait from the creation on saw the end: so a replay tells the status of the first answer without a note of it. */
function endedWithin({ completed_at, created_at }: PredictionRow, waitSeconds: number): boolean {
  return completed_at !== null && completed_at.getTime() <= created_at.getTime() + waitSeconds * 1000
}

async function waitUntilEnd(
  { context, caller, waitSeconds, response }: Create,
  prediction: { id: string; isNew: boolean },
): Promise<PredictionRow> {
  const row = await waitFor(context, {
    ...prediction,
    accountId: caller.accountId,
    seconds: waitSeconds,
    until: ({ status }) => isTerminal(status),
    gone: goneSignal(response),
  })
  if (!row) throw new ApiError('PREDICTION_NOT_FOUND')
  return row
}

/** Aborts when the client goes away before its answer. */
export function goneSignal(response: Response): AbortSignal {
  const gone = new AbortController()
  if (response.destroyed) gone.abort(left)
  response.once('close', () => {
    if (!response.writableFinished) gone.abort(left)
  })
  return gone.signal
}

/** One for all: an error of its own would be made for every request, with a stack that nobody reads. */
const left = new DOMException('The client went away.', 'AbortError')

export interface Create {
  context: Context
  caller: Caller
  request: Request
  response: Response
  raw: Buffer | undefined
  body: Omit<CreatePrediction, 'await'>
  waitSeconds: number
  /** The surface that must serve the model; predictions unless stated. */
  api?: Api | 'any'
  /** Its input is a request for inference, of so many tokens at most. */
  inference?: TokenEstimate | undefined
  /** Of the new prediction, where something is its own before it is there. */
  id?: string | undefined
  /** What `beginCreate` answered, where it was asked before. */
  begun?: Begun
}

type Begun = { idempotency: Idempotency | undefined } & (
  | { replay: Replay; entry: undefined }
  | { replay: undefined; entry: Entry }
)
