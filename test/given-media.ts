import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import OpenAI from 'openai'
import { type ApiCaller, callerOf } from './api-caller.ts'
import { type Service, startService } from './harness/service.ts'

/** A folder of models for OpenAI's media surfaces, quick and in a pool of their own; removed with `close`. */
export async function givenMediaModels(): Promise<{ dir: string; close(): Promise<void> }> {
  const dir = await mkdtemp(join(tmpdir(), 'millrace-media-'))
  for (const [name, source] of Object.entries(models))
    await writeFile(join(dir, `${name}.mjs`), `export default { pool: 'media', concurrency: 8, ${source} }`)
  return { dir, close: () => rm(dir, { recursive: true, force: true }) }
}

/** A service with these models, OpenAI's client for it, and a caller of our own. */
export async function startMediaService(): Promise<MediaService> {
  const { dir, close } = await givenMediaModels()
  const service = await startService({
    queue: 'redis',
    dispatchers: 0,
    env: { MODELS_DIR: dir, POOLS: 'default,media', MAX_FILE_BYTES: '1000000' },
  })
  return {
    service,
    client: new OpenAI({ apiKey: service.apiKey, baseURL: `${service.url}/v1` }),
    call: callerOf(service.url, service.apiKey),
    async stop() {
      await service.stop()
      await close()
    },
  }
}

/** See `startMediaService`. */
export interface MediaService {
  service: Service
  client: OpenAI
  call: ApiCaller
  stop(): Promise<void>
}

function anything(namespace: string, type: string): string {
  return `
    namespace: '${namespace}', type: '${type}', input_schema: { type: 'object' },
    run: (input, { file }) => file(Buffer.from('anything'), { name: 'any', contentType: '${type}/any' }),`
}

const models = {
  // Its pictures say what was asked of it.
  picture: `
    namespace: 'picture', type: 'image',
    input_schema: { type: 'object', required: ['prompt'], properties: {
      prompt: { type: 'string' }, n: { type: 'integer', maximum: 4, default: 1 }, seed: { type: 'integer' },
      aspect_ratio: { type: 'string', enum: ['1:1', '16:9', '3:2'] },
    } },
    run: ({ n, ...asked }, { file }) => Promise.all([...Array(n).keys()].map((index) =>
      file(Buffer.from(JSON.stringify({ ...asked, index })), { name: index + '.png', contentType: 'image/png' }))),`,
  // These take whatever is asked.
  'any-picture': anything('any-picture', 'image'),
  'any-voice': anything('any-voice', 'audio'),
  'any-film': anything('any-film', 'video'),
  fragile: `
    namespace: 'fragile', type: 'image',
    input_schema: { type: 'object', properties: { prompt: { type: 'string' } } },
    run: ({ prompt }) => { throw new Error(prompt) },`,
  'never-ends': `
    namespace: 'never-ends', type: 'image',
    input_schema: { type: 'object', properties: { prompt: { type: 'string' } } },
    run: (input, { signal }) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),`,
  speak: `
    namespace: 'speak', type: 'audio', capabilities: ['text-to-speech'],
    input_schema: { type: 'object', required: ['text'], properties: {
      text: { type: 'string' }, voice: { type: 'string', enum: ['en', 'de'], default: 'en' } } },
    run: ({ text, voice }, { file }) =>
      file(Buffer.from(voice + ': ' + text), { name: 'speech.wav', contentType: 'audio/wav' }),`,
  transcript: `
    namespace: 'transcript', type: 'text', capabilities: ['speech-to-text'],
    input_schema: { type: 'object', required: ['audio'], properties: {
      audio: { type: 'string', format: 'uri' }, language: { type: 'string', enum: ['en', 'de'] } } },
    async run({ audio, language = '' }) {
      const { readFile } = await import('node:fs/promises')
      return language + await readFile(audio, 'utf8')
    },`,
  detailed: `
    namespace: 'detailed', type: 'text', capabilities: ['speech-to-text'],
    input_schema: { type: 'object', properties: { recordings: { type: 'array', items: { type: 'string', format: 'uri' } } } },
    output_schema: { type: 'object', properties: { text: { type: 'string' }, duration: { type: 'number' } } },
    run: ({ recordings }) => ({ text: recordings.length + ' recording', duration: 1.5 }),`,
  film: `
    namespace: 'film', type: 'video', capabilities: ['text-to-video', 'image-to-video'],
    input_schema: { type: 'object', required: ['prompt'], properties: {
      prompt: { type: 'string' }, duration: { type: 'integer' }, size: { type: 'string', enum: ['64x64', '128x64'] },
      first_frame: { type: 'string', format: 'uri' } } },
    async run({ prompt, first_frame }, { file }) {
      const { readFile } = await import('node:fs/promises')
      const frame = first_frame ? await readFile(first_frame) : Buffer.from('no frame')
      return [
        await file(frame, { name: 'poster.webp', contentType: 'image/webp' }),
        await file(Buffer.from(prompt), { name: 'film.mp4', contentType: 'video/mp4' }),
      ]
    },`,
}
