import { endpoints } from '@millrace/contract/endpoints'
import type { PredictionRow } from '@millrace/lifecycle/present'
import { ApiError } from '../../api-error.ts'
import type { Context } from '../../context.ts'
import { route } from '../../route.ts'
import { sendFile } from '../../send-file.ts'
import { outputFiles, storedFile } from './media-output.ts'
import { beginMedia } from './media-run.ts'
import { streamMedia } from './media-stream.ts'

export const createSpeech = route(endpoints.createSpeech, async (incoming) => {
  const { context, request, response, body } = incoming
  const { model: _, tags: __, webhook: ___, stream_format, voice, ...others } = body
  const asked = { ...others, voice: typeof voice === 'object' ? voice.id : voice }
  const { ended, gone } = await beginMedia({ incoming, api: 'speech', asked })
  if (stream_format === 'sse') return streamMedia(context, response, gone, deltas(context, ended))
  const row = await ended()
  const [file] = outputFiles(row, 'audio/')
  return sendFile(context, await storedFile(context, row, file), { request, response })
})

/** The recording in parts, once it is there. */
async function* deltas(context: Context, ended: () => Promise<PredictionRow>) {
  const [file] = outputFiles(await ended(), 'audio/')
  const source = await context.store.open(file.id)
  if (!source) throw new ApiError('FILE_NOT_FOUND')
  for await (const chunk of source) {
    yield { type: 'speech.audio.delta', audio: Buffer.from(chunk).toString('base64') }
  }
  yield { type: 'speech.audio.done', usage: { input_tokens: 0, output_tokens: 0, total_tokens: 0 } }
}
