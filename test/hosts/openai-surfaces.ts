import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { type Exchange, picture, refuse, refuses, reply, saidIn } from './openai-exchange.ts'

/** The routes whose answer is the work itself. */
export async function performHere(exchange: Exchange): Promise<unknown> {
  const { path, values, host, response } = exchange
  const perform = surfaces[path]
  if (!perform) {
    return refuse(response, 404, { message: `Unknown URL ${path}`, type: 'invalid_request_error', ...unsaid })
  }
  if (refuses(exchange)) return
  if (values.do === undefined && !required(exchange)) {
    return refuse(response, 400, { message: 'Missing field', type: 'invalid_request_error', ...unsaid })
  }
  host.created += 1
  switch (values.do) {
    case 'garbage':
      return reply(response, { unexpected: [1, 2] })
    case 'embedded-error':
      return reply(response, { error: { message: 'It broke inside', type: 'server_error' } })
    case 'cut':
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': '900' })
      return response.write('{"da', () => response.destroy())
    case 'hang':
      await Promise.race([host.released, once(response, 'close')])
      if (!response.destroyed) return perform(exchange, 'DONE')
      host.dropped += 1
      return response
    default:
      return perform(exchange, wordsOf(exchange))
  }
}

/** The words of a request; in upper case when that is asked. */
export function wordsOf({ values, files }: Exchange): string {
  const said = saidIn(values)
  if (values.do === 'take-file') return String(Object.values(files)[0]?.size ?? 'no file')
  return values.do === 'succeed' ? said.toUpperCase() : said
}

function images({ values, path, host, response }: Exchange, words: string): ServerResponse {
  const bytes = values.do === undefined ? picture : Buffer.from(words)
  const image = { b64_json: bytes.toString('base64') }
  if (String(values.stream) === 'true') {
    const name = path.endsWith('edits') ? 'image_edit' : 'image_generation'
    const partials = [...Array(Number(values.partial_images ?? 0)).keys()]
    return stream(response, [
      ...partials.map((partial_image_index) => ({
        type: `${name}.partial_image`,
        partial_image_index,
        ...image,
      })),
      ...(values.do === 'early-end' ? [] : [{ type: `${name}.completed`, ...image, usage: {} }]),
    ])
  }
  const revised = values.do === 'log' ? { revised_prompt: words } : {}
  const address = {
    url: String(values.do === 'elsewhere' ? words : `${host.base}/picture-${host.created}.png`),
  }
  const item = { ...(values.response_format === 'url' ? address : image), ...revised }
  const output_format = values.output_format === undefined ? {} : { output_format: values.output_format }
  const data = Array(Number(values.n ?? 1)).fill(item)
  return reply(response, { created: 1_700_000_000, data, ...output_format })
}

function speech({ values, response }: Exchange, words: string): ServerResponse {
  const type = values.do === 'web-page' ? 'text/html' : 'application/octet-stream'
  const bytes = values.do === undefined ? silence : Buffer.from(words)
  return response.writeHead(200, { 'content-type': type }).end(bytes)
}

function transcriptions({ values, response }: Exchange, words: string): ServerResponse {
  const text = values.do === undefined ? 'Hello from the host.' : words
  if (String(values.stream) === 'true') {
    const deltas = text.split(/(?<= )/)
    if (values.do === 'like-vllm') {
      const chunks = deltas.map((content) => ({
        object: 'transcription.chunk',
        choices: [{ delta: { content } }],
      }))
      return stream(response, chunks, '[DONE]')
    }
    return stream(response, [
      ...deltas.map((delta) => ({ type: 'transcript.text.delta', delta })),
      ...(values.do === 'stream-error'
        ? [{ type: 'error', error: { message: 'Lost it', code: 'server_error' } }]
        : []),
      ...(values.do === 'early-end' ? [] : [{ type: 'transcript.text.done', text }]),
    ])
  }
  if (['text', 'srt', 'vtt'].includes(String(values.response_format))) {
    return response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' }).end(text)
  }
  const more = values.response_format === 'verbose_json' ? { duration: 1.5, segments: [] } : {}
  return reply(response, { text, ...more })
}

function required({ path, values, files }: Exchange): boolean {
  if (path.endsWith('speech')) return Boolean(values.input && values.voice)
  if (path.endsWith('transcriptions')) return 'file' in files
  if (path.endsWith('edits')) return Boolean(values.prompt && ('image' in files || 'image[]' in files))
  return Boolean(values.prompt)
}

function stream(response: ServerResponse, events: object[], last?: string): ServerResponse {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  for (const event of events) {
    const type = 'type' in event ? `event: ${event.type}\n` : ''
    response.write(`${type}data: ${JSON.stringify(event)}\n\n`)
  }
  return response.end(last === undefined ? '' : `data: ${last}\n\n`)
}

const surfaces: Record<string, (exchange: Exchange, words: string) => ServerResponse> = {
  '/v1/images/generations': images,
  '/v1/images/edits': images,
  '/v1/audio/speech': speech,
  '/v1/audio/transcriptions': transcriptions,
}

const unsaid = { code: null, param: null }

/** A WAV file of no length. */
const silence = Buffer.from(
  'RIFF$\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x40\x1f\0\0\x01\0\x08\0data\0\0\0\0',
  'latin1',
)

/** The groups of routes. */
export type Surface = 'images' | 'speech' | 'transcriptions' | 'videos'
