import type { CreatePrediction } from '@millrace/contract/create-prediction'
import { isTerminal } from '@millrace/contract/statuses'
import { toTypeId } from '@millrace/database/ids'
import { type PredictionRow, present } from '@millrace/lifecycle/present'
import type { ModelDescription } from '@millrace/models/description'
import type { MediaApi } from '@millrace/models/served-apis'
import { ApiError } from '../../api-error.ts'
import { cancelRun } from '../../cancel-run.ts'
import { type Create, create, goneSignal, refuseOtherApi } from '../../create.ts'
import { tellCharge } from '../../credits.ts'
import { findModel } from '../../draft-prediction.ts'
import { failureOf } from '../../failure-of.ts'
import { refuseForbidden } from '../../permitted-models.ts'
import type { Upload } from '../../read-form.ts'
import { waitFor } from '../../wait-for.ts'
import { inWordsOfRequest, mediaInput, withFile } from './media-input.ts'

/**
 * Begins the prediction that a media request asks for; `ended` waits for it. The reply names it in `x-prediction-id`.
 * Throws what a create throws, with the fields as the request calls them.
 */
export async function beginMedia(media: MediaRequest): Promise<MediaRun> {
  const { incoming, api, asked, own } = media
  const gone = goneSignal(incoming.response)
  try {
    const { model: slug, tags, webhook } = incoming.body
    const model = findModel(incoming.context, slug)
    refuseOtherApi(model, api)
    refuseForbidden(incoming.caller, model)
    media.check?.(model)
    const file = fileOf(media)
    const plain = mediaInput(api, model, asked)
    const given = file ? withFile(api, model, plain, file) : plain
    const body = { model: slug, input: given.input, tags: { ...tags, ...own }, webhook }
    const { upload } = incoming
    const { row } = await create({ ...incoming, body, api, id: upload?.predictionId, waitSeconds: 0 }).catch(
      (error: unknown) => {
        throw inWordsOfRequest(error, given)
      },
    )
    if (row.id !== upload?.predictionId) await upload?.discard()
    incoming.response.set('x-prediction-id', toTypeId('pred', row.id))
    return { row, gone, ended: () => untilEnded(incoming, row, gone) }
  } catch (error) {
    if (isRefusal(error)) await incoming.upload?.discard()
    throw error
  }
}

/** What is no refusal leaves open whether the prediction was made, which may need its file. */
function isRefusal(error: unknown): boolean {
  return error instanceof ApiError && error.id !== 'SERVICE_UNAVAILABLE'
}

function fileOf({ incoming, file }: MediaRequest): { url: string; askedAs: string } | undefined {
  if (!file) return undefined
  const { context, upload } = incoming
  const url = upload ? context.links.file(upload.file) : file.url
  return url === undefined ? undefined : { url, askedAs: file.name }
}

/**
 * Waits until the prediction has succeeded. OpenAI's clients send a request again whose answer does not come, and each
 * one would be one more run. So a client that leaves without an Idempotency-Key takes its prediction along: nobody else
 * knows of it. With a key it goes on, and the same request has its result.
 */
async function untilEnded(
  { context, caller, request, response }: MediaIncoming,
  { id }: PredictionRow,
  gone: AbortSignal,
): Promise<PredictionRow> {
  const row = await waitFor(context, {
    accountId: caller.accountId,
    id,
    seconds: context.config.MEDIA_AWAIT_SECONDS,
    until: ({ status }) => isTerminal(status),
    gone,
  })
  if (!row) throw new ApiError('PREDICTION_NOT_FOUND')
  if (row.status === 'succeeded') {
    await tellCharge(context, response, row)
    return row
  }
  if (isTerminal(row.status)) throw failureOf(present(row, context.links))
  const keyed = request.get('idempotency-key') !== undefined
  if (gone.aborted) {
    if (!keyed) await cancelRun(context, id)
    throw new ApiError('CANCELLED', 'The client has gone.')
  }
  throw unfinished(row, { keyed, draining: context.draining.signal.aborted })
}

function unfinished({ id }: PredictionRow, { keyed, draining }: Unfinished): ApiError {
  const jobId = toTypeId('pred', id)
  const where = `The prediction ${jobId} goes on: GET /v1/predictions/${jobId}`
  const reason = draining ? 'The service is being restarted.' : 'The run takes longer than an answer is held.'
  return new ApiError(draining ? 'SERVICE_UNAVAILABLE' : 'INFERENCE_TIMEOUT', `${reason} ${where}`, {
    jobId,
    // With the same key it waits for the same prediction; without one it would be another run.
    headers: { 'x-should-retry': String(keyed) },
  })
}

interface Unfinished {
  keyed: boolean
  draining: boolean
}

/** A request of a media surface, in its parts. */
interface MediaRequest {
  incoming: MediaIncoming
  api: MediaApi
  /** The fields that are for the model. */
  asked: Readonly<Record<string, unknown>>
  /** The file, by the field that it came in; its address where it did not come along. */
  file?: { name: string; url: string | undefined }
  /** Refuses what this model cannot do, before anything is paid for it. */
  check?: (model: ModelDescription) => void
  /** Tags of our own. */
  own?: Record<string, string>
}

type MediaIncoming = Pick<Create, 'context' | 'caller' | 'request' | 'response' | 'raw'> & {
  body: Pick<CreatePrediction, 'model' | 'tags' | 'webhook'>
  upload: Upload | undefined
}

interface MediaRun {
  row: PredictionRow
  /** The client has gone. */
  gone: AbortSignal
  /** Throws INFERENCE_TIMEOUT, SERVICE_UNAVAILABLE, and what the prediction failed with. */
  ended(): Promise<PredictionRow>
}
