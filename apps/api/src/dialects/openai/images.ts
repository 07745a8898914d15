import { endpoints } from '@millrace/contract/endpoints'
import type { PredictionRow } from '@millrace/lifecycle/present'
import type { Context } from '../../context.ts'
import { type Incoming, route } from '../../route.ts'
import { inBase64, outputFiles } from './media-output.ts'
import { beginMedia } from './media-run.ts'
import { streamMedia } from './media-stream.ts'

export const createImage = route(endpoints.createImage, async (incoming) => {
  const { context, response, body } = incoming
  const { model: _, tags: __, webhook: ___, response_format, stream, ...asked } = body
  const { ended, gone } = await beginMedia({ incoming, api: 'images', asked })
  if (stream) return streamMedia(context, response, gone, completed(context, body, ended))
  const row = await ended()
  const files = outputFiles(row, 'image/')
  const data =
    response_format === 'b64_json'
      ? (await inBase64(context, files)).map((b64_json) => ({ b64_json }))
      : files.map((file) => ({ url: context.links.file(file) }))
  return { created: secondsOf(row), data }
})

/** Models show their pictures when they are done, so there is nothing to send before. */
async function* completed(
  context: Context,
  { size, quality }: Incoming<typeof endpoints.createImage>['body'],
  ended: () => Promise<PredictionRow>,
) {
  const row = await ended()
  for (const file of outputFiles(row, 'image/')) {
    const [b64_json] = await inBase64(context, [file])
    yield {
      type: 'image_generation.completed',
      b64_json,
      created_at: secondsOf(row),
      size: size ?? 'auto',
      quality: quality ?? 'auto',
      background: 'auto',
      output_format: file.type.replace(/^image\//, ''),
      usage: nothingCounted,
    }
  }
}

const nothingCounted = {
  input_tokens: 0,
  input_tokens_details: { image_tokens: 0, text_tokens: 0 },
  output_tokens: 0,
  total_tokens: 0,
}

function secondsOf({ completed_at, created_at }: PredictionRow): number {
  return Math.floor((completed_at ?? created_at).getTime() / 1000)
}
