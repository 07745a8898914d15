import { EventSourceParserStream } from 'eventsource-parser/stream'

/** Follows a prediction's stream as a browser would: yields event by event until the server ends it. */
export async function* readStream(
  { url, key, id, lastEventId }: StreamRequest,
  signal: AbortSignal,
): AsyncGenerator<StreamedEvent> {
  const response = await fetch(`${url}/v1/predictions/${id}/stream`, {
    headers: {
      'x-api-key': key,
      accept: 'text/event-stream',
      ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }),
    },
    signal,
  })
  if (!response.ok || !response.body) throw new Error(`the stream answers ${response.status}`)
  const events = response.body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream())
  for await (const { id: eventId = '', event = '', data } of events) {
    yield { id: eventId, event, data: JSON.parse(data) }
  }
}

/** All events of a stream that ends by itself. */
export async function readWhole(request: StreamRequest): Promise<StreamedEvent[]> {
  return collect(readStream(request, AbortSignal.timeout(20_000)))
}

/** What is left of a stream, until the server ends it. */
export async function collect(stream: AsyncIterable<StreamedEvent>): Promise<StreamedEvent[]> {
  const events: StreamedEvent[] = []
  for await (const event of stream) events.push(event)
  return events
}

export interface StreamRequest {
  url: string
  key: string
  id: string
  lastEventId?: string | undefined
}

export interface StreamedEvent {
  id: string
  event: string
  // biome-ignore lint/suspicious/noExplicitAny: each kind of event has data of its own.
  data: any
}
