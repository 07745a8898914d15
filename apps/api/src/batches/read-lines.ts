import type { Readable } from 'node:stream'

/**
 * The lines of a file with what stands in them, from `at` on, without empty ones. One that is longer than `maxBytes` has
 * no text. Memory holds one line.
 */
export async function* readLines(source: Readable, at: number, maxBytes: number): AsyncGenerator<FileLine> {
  let parts: Buffer[] = []
  let length = 0
  let start = at
  let tooLong = false
  let number = 0

  function take(): FileLine | undefined {
    const text = tooLong
      ? undefined
      : Buffer.concat(parts)
          .toString('utf8')
          .replace(/^\uFEFF/, '')
          .trim()
    number += 1
    const line = { at: start, bytes: length, text, number }
    start += length + 1
    parts = []
    length = 0
    tooLong = false
    return text === '' ? undefined : line
  }

  for await (const chunk of source as AsyncIterable<Buffer>) {
    let from = 0
    for (let end = chunk.indexOf(10, from); from < chunk.length; end = chunk.indexOf(10, from)) {
      const piece = chunk.subarray(from, end === -1 ? chunk.length : end)
      length += piece.length
      tooLong ||= length > maxBytes
      if (tooLong) parts = []
      else parts.push(piece)
      if (end === -1) break
      from = end + 1
      const line = take()
      if (line) yield line
    }
  }
  if (length > 0) {
    const line = take()
    if (line) yield line
  }
}

/** Where a line is, in bytes, and what it says. */
export interface FileLine {
  at: number
  /** Without its line break. */
  bytes: number
  /** Undefined where it is too long. */
  text: string | undefined
  /** From 1, counted from where the reading began and with the empty ones, as an editor shows it. */
  number: number
}
