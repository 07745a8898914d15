import { isRecord } from '@millrace/models/is-record'
import type { Dispatcher } from 'undici'
import { askEmbeddings } from './ask-embeddings.ts'
import { type AskUpstream, createAsk, type UpstreamAnswer } from './ask-upstream.ts'
import { assemble } from './assemble.ts'
import type { Backend, BackendCall, ChatReply } from './backend.ts'
import { beginStream } from './begin-stream.ts'
import { byteSource } from './byte-source.ts'
import type { ChatChunk, ChatCompletion, ChatRequest } from './chat.ts'
import { InferenceFault } from './fault.ts'
import { gather } from './gather.ts'
import { unreadable } from './host-faults.ts'
import type { HostSettings } from './host-settings.ts'
import { mendCompletion } from './mend-completion.ts'
import { type ChunkSource, readChunks } from './read-chunks.ts'
import { readTrouble } from './refusals.ts'
import { createScrub } from './scrub.ts'
import { takeApart } from './take-apart.ts'

/**
 * A host that speaks chat completions and embeddings as OpenAI's API does, whatever it makes of that: an answer that
 * streams unasked is gathered, one that does not stream though it was asked to is taken apart.
 */
export function openHost(settings: HostSettings, { agent }: { agent: Dispatcher }): Backend {
  const ask = createAsk(settings, agent)
  const scrub = createScrub(settings)
  // Older servers refuse the wish for usage.
  let takesOptions = true

  async function chat(request: ChatRequest, call: BackendCall): Promise<ChatReply> {
    const asked = { settings, scrub, request, call }
    if (!request.stream) {
      return { kind: 'whole', completion: await readWhole(asked, await post(asked, wholeBody(asked))) }
    }
    const answer = await post(asked, streamBody(asked, takesOptions)).catch((error: unknown) => {
      if (!takesOptions || request.stream_options || !isAboutOptions(error)) throw error
      takesOptions = false
      return post(asked, streamBody(asked, false))
    })
    const chunks = await beginStream(await readStream(asked, answer))
    if (!chunks) throw unreadable('with a stream without an answer')
    return { kind: 'stream', chunks }
  }

  function post({ request, call }: Asked, json: unknown): ReturnType<AskUpstream> {
    const accept = request.stream ? 'text/event-stream, application/json' : 'application/json'
    return ask({ path: '/chat/completions', json, accept, slug: request.model }, call)
  }

  return {
    host: settings.name,
    chat,
    embed: (request, call) => askEmbeddings({ ask, settings, scrub }, request, call),
  }
}

function wholeBody({ request, settings }: Asked): unknown {
  return { ...request, model: settings.model, stream: undefined, stream_options: undefined }
}

function streamBody({ request, settings }: Asked, withUsage: boolean): unknown {
  const options = withUsage ? { ...request.stream_options, include_usage: true } : undefined
  return { ...request, model: settings.model, stream: true, stream_options: options }
}

function isAboutOptions(error: unknown): boolean {
  if (!(error instanceof InferenceFault) || !/^INVALID_/.test(error.errorId)) return false
  return /stream_options|include_usage/.test(`${error.about.param} ${error.message}`)
}

async function readWhole(asked: Asked, { bytes }: UpstreamAnswer): Promise<ChatCompletion> {
  const { call } = asked
  const text = await gather(bytes, { most: maxAnswerBytes, signal: call.signal })
  if (isEvents(text)) {
    const completion = await assemble(chunksIn(asked, text))
    if (completion) return completion
  }
  return completionIn(asked, text)
}

/** Looks at the first bytes, since what a host says of its answer is not always so. */
async function readStream(asked: Asked, { bytes }: UpstreamAnswer): Promise<AsyncGenerator<ChatChunk, void>> {
  const { call } = asked
  const source = byteSource(bytes)
  const { first, starts } = await source.peek(call.signal)
  if (starts !== '{' && starts !== '<') return readChunks(sourceOf(asked, first, source))
  const text = await gather(source.all(first), { most: maxAnswerBytes, signal: call.signal })
  return isEvents(text) ? chunksIn(asked, text) : takeApart(completionIn(asked, text))
}

function chunksIn(asked: Asked, text: string): AsyncGenerator<ChatChunk, void> {
  return readChunks(sourceOf(asked, Buffer.from(text), byteSource(nothing())))
}

function sourceOf(
  { request, call, scrub }: Asked,
  first: Uint8Array,
  rest: ChunkSource['rest'],
): ChunkSource {
  return {
    first,
    rest,
    signal: call.signal,
    traits: { model: request.model, requestId: call.requestId, answers: Math.max(1, request.n ?? 1) },
    trouble: (body) => readTrouble(body, (words) => scrub(words, request.model)),
    onSkipped: call.onSkipped,
  }
}

function completionIn({ request, call, scrub }: Asked, text: string): ChatCompletion {
  const body = parsed(text)
  if (isRecord(body) && body.error) throw readTrouble(body, (words) => scrub(words, request.model))
  const completion = mendCompletion(body, { model: request.model, requestId: call.requestId })
  if (completion) return completion
  throw unreadable('with 200 and no completion', scrub(text.slice(0, 300), request.model))
}

function isEvents(text: string): boolean {
  return /(^|\n|\r)data:/.test(text.slice(0, 64 * 1024)) && parsed(text) === undefined
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

async function* nothing(): AsyncGenerator<Uint8Array, void> {}

const maxAnswerBytes = 64 * 1024 * 1024

interface Asked {
  settings: HostSettings
  scrub: (text: string, slug: string) => string
  request: ChatRequest
  call: BackendCall
}
