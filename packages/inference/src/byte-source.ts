import { cutOff } from './host-faults.ts'

/** The bytes of an answer that can be looked at before it is known how to read them. */
export function byteSource(bytes: AsyncIterable<Uint8Array>): PeekedSource {
  const iterator = bytes[Symbol.asyncIterator]()
  const close = () => {
    if ('destroy' in bytes && typeof bytes.destroy === 'function') bytes.destroy()
    else void iterator.return?.()
  }

  async function* all(first: Uint8Array): AsyncGenerator<Uint8Array, void> {
    yield first
    for (;;) {
      const { done, value } = await iterator.next()
      if (done) return
      yield value
    }
  }

  return {
    next: () => iterator.next(),
    async return() {
      await iterator.return?.()
      return { done: true, value: undefined }
    },
    close,
    all,
    async peek(signal) {
      let first: Uint8Array = new Uint8Array()
      try {
        for (;;) {
          const starts = startOf(first)
          if (starts !== '') return { first, starts }
          const { done, value } = await iterator.next()
          if (done) return { first, starts }
          first = first.length === 0 ? value : Buffer.concat([first, value])
          // Blank lines without end are no answer, and are not gathered.
          if (first.length > mostBlanks) return { first, starts: '' }
        }
      } catch (error) {
        signal.throwIfAborted()
        throw cutOff(error)
      }
    },
  }
}

/** Its first character that is not a blank; empty while it is not known. */
function startOf(bytes: Uint8Array): string {
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at] ?? 0
    const isMark = at < 3 && byte === byteOrderMark[at]
    if (!isMark && byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09)
      return String.fromCharCode(byte)
  }
  return ''
}

const byteOrderMark = [0xef, 0xbb, 0xbf]
const mostBlanks = 16 * 1024

interface PeekedSource extends ByteSource {
  /** Reads until it is seen what character the answer begins with; empty where it has none. */
  peek(signal: AbortSignal): Promise<{ first: Uint8Array; starts: string }>
  /** What was read and what follows. */
  all(first: Uint8Array): AsyncIterable<Uint8Array>
  return(): Promise<IteratorResult<Uint8Array>>
}

/** The bytes of an answer, and a way to end it while somebody waits for more. */
export interface ByteSource extends AsyncIterator<Uint8Array> {
  close(): void
}
