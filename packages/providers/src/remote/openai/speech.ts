import type { Call } from '../open-remote.ts'
import { fieldsOf } from './fields.ts'
import { asDeclared } from './output.ts'
import { questionTo } from './question.ts'
import { receiveFile } from './receive-file.ts'

/** `POST /audio/speech`: words in, a file of sound out. */
export async function performSpeech(call: Call<'openai'>): Promise<unknown> {
  const { values } = fieldsOf(call, { words: 'input' })
  call.emit({ kind: 'ready' })
  const question = questionTo(call.settings, '/audio/speech', {
    method: 'POST',
    json: values,
    headers: { accept: '*/*' },
    patient: true,
  })
  const { response_format: format } = values
  const file = await receiveFile(call, question, {
    name: 'speech',
    format,
    otherwise: 'audio/mpeg',
  })
  return asDeclared([file], call.description)
}
