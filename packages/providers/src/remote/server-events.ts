import { createParser } from 'eventsource-parser'
import { Failed } from './faults.ts'

/** The events of an event stream, as its bytes come. Throws Failed at one that is too long. */
export async function* serverEvents(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<ServerEvent, void> {
  const waiting: ServerEvent[] = []
  const parser = createParser({
    maxBufferSize: longest,
    onEvent: ({ event, data }) => waiting.push({ event: event ?? 'message', data }),
    onError(error) {
      if (error.type === 'max-buffer-size-exceeded')
        throw new Failed('An event of the host is too large.', 'INVALID_OUTPUT')
    },
  })
  const text = new TextDecoder()
  for await (const chunk of bytes) {
    parser.feed(text.decode(chunk, { stream: true }))
    yield* waiting.splice(0)
  }
}

/** Whether an answer is an event stream. */
export function hasEvents({ headers }: { headers: { 'content-type'?: string | undefined } }): boolean {
  return /^text\/event-stream\b/i.test(headers['content-type'] ?? '')
}

/** Pictures may come inline, as base64. */
const longest = 256 * 1024 * 1024

export interface ServerEvent {
  event: string
  data: string
}
