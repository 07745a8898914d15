import { isRecord } from '@millrace/models/is-record'
import type { Question } from '../ask-host.ts'
import { Failed, Unavailable } from '../faults.ts'
import type { Call } from '../open-remote.ts'
import { hasEvents, serverEvents } from '../server-events.ts'
import { hostErrorIn, troubleOf } from './refusals.ts'

/**
 * Asks, and hears the events of the answer. A host that was asked for a stream may answer whole all the same: then its
 * body comes back, JSON where it is some and else text. Throws what an error event, or an error in a 200, means.
 */
export async function readAnswer(
  { ask }: Call<'openai'>,
  question: Question,
  hear: (event: HostEvent) => void,
): Promise<{ body: unknown } | undefined> {
  const answer = await ask.open(question)
  if (!hasEvents(answer)) {
    const { bytes, body = parsed(bytes.toString('utf8')) } = await answer.whole()
    if (isRecord(body) && body.error) throw troubleOf(hostErrorIn(body), { uncertain: true })
    return { body }
  }
  let length = 0
  for await (const { event, data } of serverEvents(answer.chunks())) {
    length += data.length
    if (length > longest) throw new Failed("The host's stream does not end.", 'INVALID_OUTPUT')
    hear(heard(event, data))
  }
  return undefined
}

function heard(event: string, data: string): HostEvent {
  if (data === '[DONE]') return { type: data }
  const said = parsed(data)
  if (!isRecord(said)) throw new Failed('The host streamed what is not JSON.', 'INVALID_OUTPUT')
  if (event === 'error' || said.type === 'error' || said.error) {
    throw troubleOf(hostErrorIn(said), { uncertain: true })
  }
  return { type: event, ...said }
}

/** A stream that ended in good order, but before the work was said to be done. */
export function endedEarly(): Unavailable {
  return new Unavailable('The host ended its answer before it was whole.', { down: true, uncertain: true })
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** Pictures come inline, as base64. */
const longest = 256 * 1024 * 1024

/** The JSON of one event; `[DONE]` is one without. */
export type HostEvent = Record<string, unknown> & { type: unknown }
