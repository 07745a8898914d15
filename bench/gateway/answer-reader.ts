/**
 * Reads one HTTP/1.1 answer, with a length or chunked, from the pieces of a socket in latin1. `read` hands on what each
 * piece adds to the body, and answers whether the answer is whole.
 */
export function answerReader(hear: (body: string) => void): AnswerReader {
  let status = 0
  let head = ''
  let isChunked = false
  /** Signs left of the body, or of the chunk; negative while a line of the chunks' frame is read. */
  let left = frame
  let line = ''
  let isLast = false

  function readHead(piece: string): string | undefined {
    head += piece
    const end = head.indexOf('\r\n\r\n')
    if (end < 0) return
    status = Number(head.slice(9, 12))
    const length = /\r\ncontent-length: *(\d+)/i.exec(head.slice(0, end))?.[1]
    isChunked = length === undefined
    if (!isChunked) left = Number(length)
    return head.slice(end + 4)
  }

  function readBody(text: string): boolean {
    let at = 0
    while (at < text.length) {
      if (left > 0) {
        const part = text.slice(at, at + left)
        hear(part)
        at += part.length
        left -= part.length
        if (left === 0) {
          if (!isChunked) return true
          left = frame
        }
        continue
      }
      const end = text.indexOf('\n', at)
      line += text.slice(at, end < 0 ? text.length : end + 1)
      at = end < 0 ? text.length : end + 1
      if (end < 0) continue
      if (line === '\r\n') {
        if (isLast) return true
      } else if (!isLast) {
        const size = Number.parseInt(line, 16)
        if (size === 0) isLast = true
        else left = size
      }
      line = ''
    }
    return !isChunked && left === 0
  }

  return {
    status: () => status,
    read(piece) {
      if (status > 0) return readBody(piece)
      const rest = readHead(piece)
      return rest === undefined ? false : readBody(rest)
    },
  }
}

const frame = -1

interface AnswerReader {
  /** 0 until it is known. */
  status(): number
  read(piece: string): boolean
}
