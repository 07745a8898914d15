import { createParser } from 'eventsource-parser'

/** The events of an event stream, as its bytes come. */
export async function* serverEvents(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<ServerEvent, void> {
  const waiting: ServerEvent[] = []
  const parser = createParser({
    onEvent: ({ event, data }) => waiting.push({ event: event ?? 'message', data }),
  })
  const text = new TextDecoder()
  for await (const chunk of bytes) {
    parser.feed(text.decode(chunk, { stream: true }))
    yield* waiting.splice(0)
  }
}

export interface ServerEvent {
  event: string
  data: string
}
