import type { FileValue } from '@millrace/models/define-model'
import { MAX_OUTPUT_BYTES } from './host-messages.ts'

/** Gathers what a run yields, so that a run which returns nothing still has an output. */
export class OutputParts {
  #parts: unknown[] = []
  #bytes = 0

  /** Answers false when it is more than an output may be, so that an endless generator ends. */
  add(part: unknown): boolean {
    this.#parts.push(part)
    this.#bytes += typeof part === 'string' ? Buffer.byteLength(part) : 64
    return this.#bytes <= MAX_OUTPUT_BYTES
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Only strings: one text. Anything else: the array of it all. Nothing at all: undefined. */
  whole(): unknown {
    if (this.#parts.length === 0) {
      return undefined
    }
    return this.#parts.every((part) => typeof part === 'string') ? this.#parts.join('') : this.#parts
  }
}

/** Whether a part of an output stands for a file. */
export function isFileValue(value: unknown): value is FileValue {
  return typeof value === 'object' && value !== null && '$file' in value && typeof value.$file === 'string'
}
