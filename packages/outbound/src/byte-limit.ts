import { Transform } from 'node:stream'

/** Passes bytes on and fails as soon as there is one too many, so that nobody's size claim has to be believed. */
export function byteLimit(maxBytes: number): ByteLimit {
  return new ByteLimit(maxBytes)
}

export class TooLargeError extends Error {
  readonly maxBytes: number

  constructor(maxBytes: number) {
    super(`The file is larger than ${maxBytes} bytes`)
    this.name = 'TooLargeError'
    this.maxBytes = maxBytes
  }
}

class ByteLimit extends Transform {
  #bytes = 0
  readonly #maxBytes: number

  constructor(maxBytes: number) {
    super()
    this.#maxBytes = maxBytes
  }

  get bytes(): number {
    return this.#bytes
  }

  override _transform(
    chunk: Buffer,
    _encoding: string,
    done: (error: Error | null, chunk?: Buffer) => void,
  ): void {
    this.#bytes += chunk.length
    if (this.#bytes > this.#maxBytes) done(new TooLargeError(this.#maxBytes))
    else done(null, chunk)
  }
}
