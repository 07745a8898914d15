import { bytesOfBase64, isDataUrl, parseDataUrl } from '@millrace/media/data-url'
import { extensionOf, typeOfName } from '@millrace/media/file-types'
import { mediaTypeOfBytes } from '@millrace/media/type-of-bytes'
import type { FileValue } from '@millrace/models/define-model'
import { isRecord } from '@millrace/models/is-record'
import { Failed } from '../faults.ts'
import type { Call } from '../open-remote.ts'
import { fieldsOf, formOf } from './fields.ts'
import { asDeclared } from './output.ts'
import { questionTo } from './question.ts'
import { endedEarly, type HostEvent, readAnswer } from './read-answer.ts'

/** `POST /images/generations`, or `/images/edits` where the input has a file. Asked for partial ones, it has progress. */
export async function performImages(call: Call<'openai'>): Promise<unknown> {
  const fields = fieldsOf(call, { words: 'prompt', file: 'image' })
  const { values } = fields
  const partial = Number(values.partial_images) || 0
  // Hosts refuse partial images outside of a stream.
  if (partial > 0) values.stream = true
  const edits = fields.files.size > 0
  const question = questionTo(call.settings, edits ? '/images/edits' : '/images/generations', {
    method: 'POST',
    patient: true,
    ...(edits ? await formOf(fields) : { json: values }),
  })
  call.emit({ kind: 'ready' })
  const items: unknown[] = []
  const answer = await readAnswer(call, question, (event) => {
    if (isOf(event, 'completed')) items.push(event)
    const index = Number(event.partial_image_index)
    if (isOf(event, 'partial_image')) {
      call.emit({ kind: 'progress', percent: ((index + 1) / (partial + 1)) * 100 })
    }
  })
  if (!answer && items.length === 0) throw endedEarly()
  return asDeclared(
    await keep(call, answer ? itemsOf(answer.body) : items, values.output_format),
    call.description,
  )
}

async function keep(call: Call<'openai'>, items: unknown[], format: unknown): Promise<FileValue[]> {
  const files: FileValue[] = []
  for (const item of items) {
    const { b64_json, url, revised_prompt, output_format = format } = isRecord(item) ? item : {}
    if (typeof revised_prompt === 'string' && revised_prompt !== '') {
      call.emit({ kind: 'log', text: `Revised prompt: ${revised_prompt}\n` })
    }
    const name = items.length > 1 ? `image-${files.length + 1}` : 'image'
    if (typeof b64_json === 'string') files.push(await fromBase64(call, b64_json, name, output_format))
    else if (typeof url === 'string' && URL.canParse(url)) files.push(await call.rehost.file(url))
    else
      throw new Failed(
        'The host answered with an image that has neither bytes nor an address.',
        'INVALID_OUTPUT',
      )
  }
  return files
}

async function fromBase64(
  { rehost }: Call<'openai'>,
  text: string,
  name: string,
  format: unknown,
): Promise<FileValue> {
  const bytes = isDataUrl(text) ? parseDataUrl(text)?.bytes : bytesOfBase64(text)
  if (!bytes) throw new Failed('The host answered with an image that cannot be read.', 'INVALID_OUTPUT')
  if (bytes.length === 0) throw new Failed('The host answered with an empty image.', 'INVALID_OUTPUT')
  const type = (await mediaTypeOfBytes(bytes)) ?? typeOfName(`image.${format}`) ?? 'image/png'
  return rehost.save(bytes, `${name}${extensionOf(type)}`, type)
}

function itemsOf(body: unknown): unknown[] {
  const data = isRecord(body) ? body.data : undefined
  if (!Array.isArray(data) || data.length === 0) {
    throw new Failed('The host answered without an image.', 'INVALID_OUTPUT')
  }
  // The format is said once for all of them.
  const { output_format } = body as Record<string, unknown>
  return data.map((item: unknown) => (isRecord(item) && output_format ? { output_format, ...item } : item))
}

/** `image_generation.completed`, `image_edit.completed`. */
function isOf({ type }: HostEvent, what: string): boolean {
  return typeof type === 'string' && type.endsWith(`.${what}`)
}
