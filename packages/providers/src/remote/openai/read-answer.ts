import { createParser } from 'eventsource-parser'
import type { Question } from '../ask-host.ts'
import { Failed, Unavailable } from '../faults.ts'
import { isRecord } from '../is-record.ts'
import type { Call } from '../open-remote.ts'
import { hostErrorIn, troubleOf } from './refusals.ts'

/**
 * Asks, and hears the events of the answer. A host that was asked for a stream may answer whole all the same: then its
 * body comes back, JSON where it is some and else text. Throws what an error event, or an error in a 200, means.
 */
export async function readAnswer(
  { ask, settings }: Call<'openai'>,
  question: Question,
  hear: (event: HostEvent) => void,
): Promise<{ body: unknown } | undefined> {
  const decoder = new TextDecoder()
  const texts: string[] = []
  let size = 0
  const parser = createParser({
    onEvent({ data, event }) {
      if (data === '[DONE]') return hear({ type: data })
      const said = parsed(data)
      if (!isRecord(said)) throw new Failed('The host streamed what is not JSON.', 'INVALID_OUTPUT')
      if (event === 'error' || said.type === 'error' || said.error) {
        throw troubleOf(hostErrorIn(said, settings), { uncertain: true })
      }
      hear({ type: event ?? '', ...said })
    },
  })
  const { headers, chunks } = await ask.open(question)
  const type = headers['content-type'] ?? ''
  for await (const chunk of chunks()) {
    size += chunk.length
    if (size > maxAnswerBytes)
      throw new Failed(`The host's answer is larger than ${maxAnswerBytes >> 20} MB.`)
    const text = decoder.decode(chunk, { stream: true })
    if (isEvents(type)) parser.feed(text)
    else texts.push(text)
  }
  if (isEvents(type)) return undefined
  const body = parsed(texts.join(''))
  if (isRecord(body) && body.error) throw troubleOf(hostErrorIn(body, settings), { uncertain: true })
  return { body }
}

/** A stream that ended in good order, but before the work was said to be done. */
export function endedEarly(): Unavailable {
  return new Unavailable('The host ended its answer before it was whole.', { down: true, uncertain: true })
}

function isEvents(type: string): boolean {
  return /^text\/event-stream/i.test(type)
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** Pictures come inline, as base64. */
const maxAnswerBytes = 256 * 1024 * 1024

/** The JSON of one event; `[DONE]` is one without. */
export type HostEvent = Record<string, unknown> & { type: unknown }
