import { endpoints } from '@millrace/contract/endpoints'
import type { PredictionRow } from '@millrace/lifecycle/present'
import type { ModelDescription } from '@millrace/models/description'
import { fieldSchemaOf } from '@millrace/models/input-fields'
import { isRecord } from '@millrace/models/is-record'
import type { Response } from 'express'
import { ApiError } from '../../api-error.ts'
import { badParameter } from '../../bad-parameter.ts'
import type { Context } from '../../context.ts'
import { answered, route } from '../../route.ts'
import { outputValue } from './media-output.ts'
import { beginMedia } from './media-run.ts'
import { streamMedia } from './media-stream.ts'

export const createTranscription = route(endpoints.createTranscription, async (incoming) => {
  const { context, response, body, upload } = incoming
  const { model: _, tags: __, webhook: ___, file: url, stream, ...asked } = body
  const format = body.response_format ?? 'json'
  const { ended, gone } = await beginMedia({
    incoming,
    api: 'transcriptions',
    asked,
    file: { name: 'file', url },
    check(model) {
      if (!upload && url === undefined) throw badParameter('file', 'is required: the recording')
      checkFormat(model, format)
    },
  })
  if (stream) return streamMedia(context, response, gone, events(context, ended))
  return sayTranscript(context, await ended(), format, response)
})

/** Every model gives text; what else there is only some give, and say so. Before a run is paid for it. */
function checkFormat({ namespace, input_schema, output_schema }: ModelDescription, format: string): void {
  if (format === 'json' || format === 'text' || fieldSchemaOf(input_schema, 'response_format')) return
  const tells = ['segments', 'words', 'duration'].some((name) => fieldSchemaOf(output_schema, name))
  if (format === 'verbose_json' && tells) return
  throw badParameter('response_format', `must be json or text: the model "${namespace}" gives no ${format}`)
}

async function sayTranscript(
  context: Context,
  row: PredictionRow,
  format: string,
  response: Response,
): Promise<unknown> {
  const value = await outputValue(context, row)
  const text = textOf(row, value)
  if (format === 'json') return { text }
  if (format === 'verbose_json') return { task: 'transcribe', ...(isRecord(value) ? value : {}), text }
  response.status(200).type('text/plain').send(text)
  return answered
}

/** Its words in one piece: they are told when the run has ended. */
async function* events(context: Context, ended: () => Promise<PredictionRow>) {
  const row = await ended()
  const text = textOf(row, await outputValue(context, row))
  yield { type: 'transcript.text.delta', delta: text }
  yield { type: 'transcript.text.done', text }
}

function textOf({ model }: PredictionRow, value: unknown): string {
  if (typeof value === 'string') return value
  if (Array.isArray(value) && value.every((part) => typeof part === 'string')) return value.join('')
  if (isRecord(value) && typeof value.text === 'string') return value.text
  throw new ApiError('INVALID_OUTPUT', `The model "${model}" answered without a text.`)
}
