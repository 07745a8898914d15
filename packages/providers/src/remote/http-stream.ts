import { fillTemplate, type Scope } from '@millrace/models/template'
import { lines } from '../lines.ts'
import { tooLarge } from '../output-json.ts'
import { OutputParts } from '../output-parts.ts'
import type { Opened } from './ask-host.ts'
import { Failed } from './faults.ts'
import { createAnswerTeller, failureOf } from './http-answer.ts'
import type { Call } from './open-remote.ts'
import { hasEvents, serverEvents } from './server-events.ts'
import { isWordy, wordyText } from './wordy.ts'

/** Whether an answer comes in events or lines. */
export function isStream({ headers }: Opened): boolean {
  return /^(text\/event-stream|application\/(x-ndjson|ndjson|jsonl|jsonlines|json-lines|stream\+json))\b/i.test(
    headers['content-type'] ?? '',
  )
}

/** Reads an answer that comes in parts. The output is the last that an event states whole, else all the parts of text. */
export async function readStream(
  answer: Opened,
  scope: Scope,
  call: Pick<Call<'http'>, 'settings' | 'emit'>,
): Promise<unknown> {
  const { settings, emit } = call
  const { response } = settings
  const parts = new OutputParts()
  let whole: unknown
  for await (const body of eventsOf(answer)) {
    const at = { ...scope, body }
    const failure = failureOf(response, at)
    if (failure) throw failure
    // Each event tells only what is new.
    createAnswerTeller(response, (event) =>
      emit(event.kind === 'log' ? { ...event, text: line(event.text) } : event),
    )(at)
    const delta = response.stream ? fillTemplate(response.stream.delta, at) : undefined
    if (typeof delta === 'string' && delta !== '') {
      if (!parts.add(delta)) throw new Failed(tooLarge(parts.bytes), 'INVALID_OUTPUT')
      emit({ kind: 'output', delta })
    }
    whole = (response.output === undefined ? undefined : fillTemplate(response.output, at)) ?? whole
  }
  const output = (Array.isArray(whole) && whole.length === 0 ? undefined : whole) ?? parts.whole()
  if (output === undefined) throw new Failed("The host's stream held no output.", 'INVALID_OUTPUT')
  return output
}

function line(text: string): string {
  return text.endsWith('\n') ? text : `${text}\n`
}

async function* eventsOf(answer: Opened): AsyncGenerator<unknown, void> {
  if (!hasEvents(answer)) {
    for await (const { text, whole } of lines(answer.chunks(), longest)) {
      if (!whole) throw new Failed("A line of the host's answer is too long.", 'INVALID_OUTPUT')
      yield* read(text)
    }
    return
  }
  for await (const { data } of serverEvents(closed(answer.chunks()))) yield* read(data)
}

/** Some hosts leave out the empty line after their last event. */
async function* closed(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  yield* bytes
  yield Buffer.from('\n\n')
}

function* read(data: string): Generator<unknown, void> {
  if (data.trim() === '' || data.trim() === '[DONE]') return
  if (isWordy(data)) throw new Failed(wordyText, 'INVALID_OUTPUT')
  try {
    yield JSON.parse(data)
  } catch {
    yield data
  }
}

const longest = 64 * 1024 * 1024
