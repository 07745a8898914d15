import type { Caller } from '@millrace/accounts/api-keys'
import { endpoints } from '@millrace/contract/endpoints'
import type { VideoVariant } from '@millrace/contract/media'
import { fromTypeId } from '@millrace/database/ids'
import { lowestId, type Page } from '@millrace/database/page'
import type { PredictionFile } from '@millrace/database/tables'
import { listPredictions } from '@millrace/lifecycle/list'
import type { PredictionRow } from '@millrace/lifecycle/present'
import { findFile } from '@millrace/storage/files'
import { ApiError } from '../../api-error.ts'
import { badParameter } from '../../bad-parameter.ts'
import type { Context } from '../../context.ts'
import { ownPrediction } from '../../own-prediction.ts'
import { removePrediction } from '../../remove-prediction.ts'
import { type Incoming, route } from '../../route.ts'
import { sendFile } from '../../send-file.ts'
import { outputFiles, storedFile } from './media-output.ts'
import { beginMedia } from './media-run.ts'
import { videoOf } from './video-shape.ts'

export const createVideo = route(endpoints.createVideo, async (incoming) => {
  const { context, caller, body, upload } = incoming
  const { model: _, tags: __, webhook: ___, input_reference: reference, ...asked } = body
  const url = reference && !upload ? await addressOf(context, caller, reference) : undefined
  const file = { name: 'input_reference', url }
  const { row } = await beginMedia({ incoming, api: 'videos', asked, own, file })
  return videoOf(context, row)
})

export const listVideos = route(endpoints.listVideos, async ({ context, caller, query }) => {
  const { limit = 20, order = 'desc' } = query
  const after = query.after === undefined ? undefined : uuidOf(query.after)
  const page: Page =
    order === 'asc' ? { size: limit, before: after ?? lowestId } : { size: limit, ...(after && { after }) }
  const { accountId } = caller
  const found = await listPredictions(context.db, { accountId, tags: own }, page)
  const rows = order === 'asc' ? found.rows.toReversed() : found.rows
  const data = rows.map((row) => videoOf(context, row))
  return {
    object: 'list',
    data,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: order === 'asc' ? found.newer : found.older,
  }
})

export const getVideo = route(endpoints.getVideo, async ({ context, caller, params }) => {
  return videoOf(context, await ownVideo(context, caller, params.id))
})

export const getVideoContent = route(
  endpoints.getVideoContent,
  async ({ context, caller, params, query, ...http }) => {
    const row = await ownVideo(context, caller, params.id)
    if (row.status !== 'succeeded') {
      throw new ApiError('FILE_NOT_FOUND', `The video is not there: it is ${videoOf(context, row).status}.`)
    }
    const file = variantOf(row, query.variant ?? 'video')
    return sendFile(context, await storedFile(context, row, file), http)
  },
)

export const deleteVideo = route(endpoints.deleteVideo, async ({ context, caller, params }) => {
  const found = await ownVideo(context, caller, params.id)
  await removePrediction(context, caller, found)
  return { id: params.id, object: 'video.deleted', deleted: true }
})

/** A tag that no client can give: what has it was begun here, and lists find it by that. */
const own = { 'millrace:api': 'videos' }

/** The caller's prediction, if it makes a video. Throws PREDICTION_NOT_FOUND. */
async function ownVideo(context: Context, caller: Caller, id: string): Promise<PredictionRow> {
  const row = await ownPrediction(context, caller, id)
  if (row.model_type === 'video' || row.tags['millrace:api'] === 'videos') return row
  throw new ApiError('PREDICTION_NOT_FOUND')
}

/** Throws FILE_NOT_FOUND where the model did not make such a file. */
function variantOf(row: PredictionRow, variant: VideoVariant): PredictionFile {
  const [film, ...others] = outputFiles(row, 'video/')
  if (variant === 'video') return film
  const pictures = [...others, ...row.files.filter(({ role }) => role === 'output')].filter(
    ({ id, type }) => id !== film.id && type.startsWith('image/'),
  )
  const isSheet = ({ name }: PredictionFile) => /sprite/i.test(name)
  const file = pictures.find((picture) => isSheet(picture) === (variant === 'spritesheet'))
  if (!file) throw new ApiError('FILE_NOT_FOUND', `The model "${row.model}" makes no ${variant}.`)
  return file
}

/** Where the picture is that did not come along. Throws INVALID_PARAMETER. */
async function addressOf(context: Context, { accountId }: Caller, reference: Reference): Promise<string> {
  if (typeof reference === 'string') return reference
  if (reference.image_url !== undefined) return reference.image_url
  const file = reference.file_id && (await findFile(context.db, { id: reference.file_id, accountId }))
  if (file) return context.links.file(file)
  throw badParameter(
    'input_reference',
    'must name a file by its image_url, or one of your uploads by its file_id',
  )
}

function uuidOf(id: string): string {
  const uuid = fromTypeId('pred', id)
  if (uuid === undefined) throw badParameter('after', 'is no id of a video')
  return uuid
}

type Reference = NonNullable<Incoming<typeof endpoints.createVideo>['body']['input_reference']>
