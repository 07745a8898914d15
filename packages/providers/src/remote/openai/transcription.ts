import { isRecord } from '@millrace/models/is-record'
import { Failed } from '../faults.ts'
import type { Call } from '../open-remote.ts'
import { fieldsOf, formOf } from './fields.ts'
import { questionTo } from './question.ts'
import { endedEarly, type HostEvent, readAnswer } from './read-answer.ts'

/** `POST /audio/transcriptions`: a file of sound in, its words out, as they are heard where the model says that it streams. */
export async function performTranscription(call: Call<'openai'>): Promise<unknown> {
  const fields = fieldsOf(call, { file: 'file' })
  const { values } = fields
  if (call.description.capabilities.includes('streaming')) values.stream ??= true
  const question = questionTo(call.settings, '/audio/transcriptions', {
    method: 'POST',
    patient: true,
    ...(await formOf(fields)),
  })
  call.emit({ kind: 'ready' })
  const heard: string[] = []
  let whole: string | undefined
  const answer = await readAnswer(call, question, (event) => {
    const delta = deltaIn(event)
    if (delta) {
      heard.push(delta)
      call.emit({ kind: 'output', delta })
    }
    if (isLast(event)) whole ??= typeof event.text === 'string' ? event.text : heard.join('')
  })
  if (answer) return wordsOf(answer.body, values.response_format)
  if (whole === undefined) throw endedEarly()
  return whole
}

/** The words alone, unless more was asked for. */
function wordsOf(body: unknown, format: unknown): unknown {
  if (isRecord(body) && typeof body.text === 'string') return detailed.has(String(format)) ? body : body.text
  if (typeof body === 'string' && plain.has(String(format))) return body
  throw new Failed('The host answered without a transcription.', 'INVALID_OUTPUT')
}

/** In OpenAI's words, or in those of vLLM, whose chunks are like a chat's. */
function deltaIn({ type, delta, choices }: HostEvent): string | undefined {
  if (type === 'transcript.text.delta') return typeof delta === 'string' ? delta : undefined
  const [first]: unknown[] = Array.isArray(choices) ? choices : []
  const content = isRecord(first) && isRecord(first.delta) ? first.delta.content : undefined
  return typeof content === 'string' ? content : undefined
}

function isLast({ type }: HostEvent): boolean {
  return type === 'transcript.text.done' || type === '[DONE]'
}

const detailed: ReadonlySet<string> = new Set(['verbose_json', 'diarized_json'])
const plain: ReadonlySet<string> = new Set(['text', 'srt', 'vtt'])
