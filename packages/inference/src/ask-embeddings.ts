import { isRecord } from '@millrace/models/is-record'
import type { AskUpstream } from './ask-upstream.ts'
import type { BackendCall } from './backend.ts'
import type { Embeddings, EmbeddingsRequest } from './embeddings.ts'
import { gather } from './gather.ts'
import { unreadable } from './host-faults.ts'
import type { HostSettings } from './host-settings.ts'
import { tokensOf } from './mend-usage.ts'
import { readTrouble } from './refusals.ts'

/**
 * Asks a host for vectors, as numbers: hosts that answer base64 all the same are understood. They come in the order of
 * the input, whatever the order of the answer. Throws InferenceFault where one is missing, and the signal's reason.
 */
export async function askEmbeddings(
  { ask, settings, scrub }: EmbeddingsHost,
  request: EmbeddingsRequest,
  call: BackendCall,
): Promise<Embeddings> {
  const json = { ...request, model: settings.model, encoding_format: 'float' }
  const question = { path: '/embeddings', json, accept: 'application/json', slug: request.model }
  const { bytes } = await ask(question, call)
  const text = await gather(bytes, { most: maxAnswerBytes, signal: call.signal })
  const body = parsed(text)
  if (isRecord(body) && body.error) throw readTrouble(body, (words) => scrub(words, request.model))
  const vectors = isRecord(body) ? vectorsIn(body.data, inputsOf(request)) : undefined
  if (!isRecord(body) || !vectors) {
    throw unreadable(
      'with 200 and not with a vector for each input',
      scrub(text.slice(0, 300), request.model),
    )
  }
  const usage = isRecord(body.usage) ? body.usage : {}
  const prompt_tokens = tokensOf(usage.prompt_tokens) ?? tokensOf(usage.total_tokens)
  if (prompt_tokens === undefined) return { vectors }
  return { vectors, usage: { prompt_tokens, total_tokens: tokensOf(usage.total_tokens) ?? prompt_tokens } }
}

/** A text or one list of tokens is one input. */
function inputsOf({ input }: EmbeddingsRequest): number {
  return Array.isArray(input) && typeof input[0] !== 'number' ? input.length : 1
}

function vectorsIn(data: unknown, count: number): number[][] | undefined {
  if (!Array.isArray(data) || data.length !== count) return undefined
  const vectors = new Array<number[] | undefined>(count)
  for (const [position, item] of data.entries()) {
    if (!isRecord(item)) return undefined
    const index = Number.isSafeInteger(item.index) ? Number(item.index) : position
    if (index < 0 || index >= count || vectors[index]) return undefined
    vectors[index] = vectorOf(item.embedding)
    if (!vectors[index]) return undefined
  }
  return vectors.filter((vector) => vector !== undefined)
}

function vectorOf(told: unknown): number[] | undefined {
  if (typeof told === 'string') return floatsIn(Buffer.from(told, 'base64'))
  if (!Array.isArray(told) || told.length === 0) return undefined
  // llama.cpp puts a vector into a list where it could have one for each token.
  if (told.length === 1 && Array.isArray(told[0])) return vectorOf(told[0])
  return told.every((one) => typeof one === 'number') ? told : undefined
}

/** Little-endian float32. */
function floatsIn(bytes: Buffer): number[] | undefined {
  if (bytes.length === 0 || bytes.length % 4 !== 0) return undefined
  const floats = Array.from({ length: bytes.length / 4 }, (_, at) => bytes.readFloatLE(at * 4))
  return floats.every(Number.isFinite) ? floats : undefined
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const maxAnswerBytes = 256 * 1024 * 1024

interface EmbeddingsHost {
  ask: AskUpstream
  settings: HostSettings
  scrub: (text: string, slug: string) => string
}
