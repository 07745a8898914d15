import { InferenceFault } from './fault.ts'
import { cutOff } from './host-faults.ts'

/** All bytes of an answer as text. Throws InferenceFault when they are too many or cut off, and the signal's reason. */
export async function gather(bytes: AsyncIterable<Uint8Array>, { most, signal }: Gathering): Promise<string> {
  const gathered: Uint8Array[] = []
  let size = 0
  try {
    for await (const chunk of bytes) {
      size += chunk.length
      if (size > most) throw tooLarge(most)
      gathered.push(chunk)
    }
  } catch (error) {
    signal.throwIfAborted()
    throw error instanceof InferenceFault ? error : cutOff(error)
  }
  const [only] = gathered
  return textOf(gathered.length === 1 && only ? only : Buffer.concat(gathered))
}

/** A host that says so much is not asked again: the next one would say as much. */
export function tooLarge(most: number): InferenceFault {
  return new InferenceFault('INFERENCE_ERROR', `The model's answer is larger than ${most >> 20} MB.`)
}

function textOf(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
  return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text
}

interface Gathering {
  /** Bytes. */
  most: number
  signal: AbortSignal
}
