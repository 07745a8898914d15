import { isRecord } from '@millrace/models/is-record'
import type { Dispatcher } from 'undici'
import { askEmbeddings } from './ask-embeddings.ts'
import { createAsk, type UpstreamAnswer } from './ask-upstream.ts'
import type { Backend, BackendCall, ChatReply } from './backend.ts'
import { beginStream } from './begin-stream.ts'
import type { ChatChunk, ChatCompletion, ChatRequest } from './chat.ts'
import { InferenceFault } from './fault.ts'
import { gather } from './gather.ts'
import { cutOff, unreadable } from './host-faults.ts'
import type { HostSettings } from './host-settings.ts'
import { createEventReader } from './read-events.ts'
import { readTrouble } from './refusals.ts'
import { chunksOf } from './responses/chunks-of.ts'
import { fromChatRequest } from './responses/from-chat-request.ts'
import { fromResponse } from './responses/from-response.ts'
import { createScrub } from './scrub.ts'
import { takeApart } from './take-apart.ts'

/** A host that speaks Responses and no chat: it is asked in its own words, and answers in those of chat. */
export function openResponsesHost(settings: HostSettings, { agent }: { agent: Dispatcher }): Backend {
  const ask = createAsk(settings, agent)
  const scrub = createScrub(settings)

  async function chat(request: ChatRequest, call: BackendCall): Promise<ChatReply> {
    const { stream: _, ...said } = request
    const json = { ...fromChatRequest(said), model: settings.model, stream: request.stream ?? false }
    const accept = request.stream ? 'text/event-stream, application/json' : 'application/json'
    const asked = { scrub: (words: string) => scrub(words, request.model), request, call }
    const answer = await ask({ path: '/responses', json, accept, slug: request.model }, call)
    const streams = /event-stream/i.test(String(answer.headers['content-type']))
    if (!request.stream) return { kind: 'whole', completion: await readWhole(asked, answer) }
    const all = streams
      ? scrubbed(asked, chunksOf(eventsIn(asked, answer)))
      : takeApart(await readWhole(asked, answer))
    const chunks = await beginStream(all)
    if (!chunks) throw unreadable('with a stream without an answer')
    return { kind: 'stream', chunks }
  }

  return {
    host: settings.name,
    chat,
    embed: (request, call) => askEmbeddings({ ask, settings, scrub }, request, call),
  }
}

async function readWhole(asked: Asked, { bytes }: UpstreamAnswer): Promise<ChatCompletion> {
  const { request, call, scrub } = asked
  const text = await gather(bytes, { most: maxAnswerBytes, signal: call.signal })
  const body = parsed(text)
  if (!isRecord(body)) throw unreadable('with 200 and no response', scrub(text.slice(0, 300)))
  if (body.error && !('output' in body)) throw readTrouble(body, scrub)
  return { ...inScrubbedWords(asked, () => fromResponse(body)), model: request.model }
}

/** The chunks with the slug that was asked for, and faults without what callers may not learn. */
async function* scrubbed(
  asked: Asked,
  chunks: AsyncGenerator<ChatChunk, void>,
): AsyncGenerator<ChatChunk, void> {
  try {
    for await (const chunk of chunks) yield { ...chunk, model: asked.request.model }
  } catch (error) {
    throw inOurWords(asked, error)
  }
}

/** The events of an answer, as its bytes come. */
async function* eventsIn({ call }: Asked, { bytes }: UpstreamAnswer): AsyncGenerator<unknown, void> {
  const reader = createEventReader()
  try {
    for await (const part of bytes) {
      for (const { data, isLast } of reader.feed(part)) if (!isLast) yield data
    }
    for (const { data, isLast } of reader.end()) if (!isLast) yield data
  } catch (error) {
    call.signal.throwIfAborted()
    throw error instanceof InferenceFault ? error : cutOff(error)
  } finally {
    if (reader.skipped() > 0) call.onSkipped?.(reader.skipped())
  }
}

function inScrubbedWords<T>(asked: Asked, work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw inOurWords(asked, error)
  }
}

function inOurWords({ scrub }: Asked, error: unknown): unknown {
  if (!(error instanceof InferenceFault)) return error
  return new InferenceFault(error.errorId, scrub(error.message), error.about)
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const maxAnswerBytes = 64 * 1024 * 1024

interface Asked {
  scrub: (words: string) => string
  request: ChatRequest
  call: BackendCall
}
