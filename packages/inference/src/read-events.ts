import { isRecord } from '@millrace/models/is-record'
import { createParser } from 'eventsource-parser'
import { tooLarge } from './gather.ts'

/**
 * Reads the events of a stream as its bytes come, each with one parse of its JSON. It takes what hosts make of the
 * format: any end of line, split characters, events that are not parted by an empty line, a last one that is not ended.
 * What cannot be read is counted and left out. `feed` and `end` throw InferenceFault for an event that is too large.
 *
 * The parser is eventsource-parser, which costs about 0.1 µs for an event, beside 1 µs and more for its JSON.
 */
export function createEventReader({ most = mostCharacters }: { most?: number } = {}): EventReader {
  const text = new TextDecoder()
  let read: HostEvent[] = []
  let skipped = 0

  function hear(data: string, event: string | undefined): void {
    if (data === '[DONE]') return void read.push({ event, data: undefined, isLast: true })
    try {
      return void read.push({ event, data: JSON.parse(data), isLast: false })
    } catch {
      // Hosts that forget the empty line between events send what looks like one event of many lines.
      const lines = data.includes('\n') ? data.split('\n').filter((line) => line.trim() !== '') : []
      if (lines.length > 1) for (const line of lines) hear(line, event)
      else if (data.trim() === '[DONE]') read.push({ event, data: undefined, isLast: true })
      else if (data !== '') skipped += 1
    }
  }

  const parser = createParser({
    maxBufferSize: most,
    onEvent: ({ data, event }) => hear(data, event),
    onError(error) {
      if (error.type === 'max-buffer-size-exceeded') throw tooLarge(most)
      skipped += 1
    },
  })

  function taken(): HostEvent[] {
    if (read.length === 0) return none
    const events = read
    read = []
    return events
  }

  return {
    feed(bytes) {
      parser.feed(text.decode(bytes, { stream: true }))
      return taken()
    },
    end() {
      // Ends a line and an event that were left open.
      parser.feed(`${text.decode()}\n\n`)
      return taken()
    },
    skipped: () => skipped,
  }
}

/** Whether an event says that the host has failed. */
export function isTrouble({ event, data }: HostEvent): boolean {
  return isRecord(data) && (Boolean(data.error) || event === 'error' || data.type === 'error')
}

/** One event of a chat may have a picture in it, and no more. */
const mostCharacters = 32 * 1024 * 1024

const none: HostEvent[] = []

export interface EventReader {
  /** The events that are whole with these bytes. */
  feed(bytes: Uint8Array): HostEvent[]
  /** Those that are whole as nothing more comes. */
  end(): HostEvent[]
  /** Lines and events so far that could not be read. */
  skipped(): number
}

export interface HostEvent {
  event: string | undefined
  /** Its JSON. */
  data: unknown
  /** `[DONE]`. */
  isLast: boolean
}
