import { StringDecoder } from 'node:string_decoder'

/**
 * Splits a stream into lines and never holds more than `maxLength` characters. A longer line comes in pieces with
 * `whole: false`. Reading is the back-pressure: while the consumer is busy, the writer at the other end waits.
 */
export async function* lines(stream: AsyncIterable<Uint8Array>, maxLength: number): AsyncGenerator<Line> {
  const decoder = new StringDecoder('utf8')
  let parts: string[] = []
  let held = 0
  let broken = false

  const take = (whole: boolean): Line => {
    const line = { text: parts.join(''), whole: whole && !broken }
    parts = []
    held = 0
    broken = !whole
    return line
  }

  for await (const chunk of stream) {
    const [first = '', ...others] = decoder.write(chunk).split('\n')
    parts.push(first)
    held += first.length
    for (const next of others) {
      yield take(true)
      parts.push(next)
      held = next.length
    }
    if (held > maxLength) {
      yield take(false)
    }
  }
  if (held > 0) {
    yield take(true)
  }
}

/** A line without its line end, or a piece of one that was too long to hold. */
export interface Line {
  text: string
  whole: boolean
}
