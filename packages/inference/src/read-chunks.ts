import type { ByteSource } from './byte-source.ts'
import type { ChatChunk } from './chat.ts'
import { InferenceFault } from './fault.ts'
import { cutOff, unreadable } from './host-faults.ts'
import { type ChunkTraits, createChunkMender } from './mend-chunk.ts'
import { createEventReader, isTrouble } from './read-events.ts'

/**
 * The chunks of a host's event stream, one at a time and none before it is asked for; usage comes last, in a chunk of
 * its own. Throws InferenceFault when the host says that it failed, says nothing, or ends before the answer has; and the
 * signal's reason. A stream that ended well leaves its connection to the next request.
 */
export async function* readChunks(source: ChunkSource): AsyncGenerator<ChatChunk, void> {
  const { first, rest, signal, traits, trouble, onSkipped } = source
  const events = createEventReader()
  const mender = createChunkMender(traits)
  const grace = createGrace(rest)
  let next: Uint8Array | undefined = first
  let isLast = false
  let isOver = false
  try {
    while (!isLast && !isOver) {
      const read = next === undefined ? events.end() : events.feed(next)
      isOver = next === undefined
      for (const event of read) {
        if (event.isLast) {
          isLast = true
          break
        }
        if (isTrouble(event) && !mender.isWhole()) throw trouble(event.data)
        const chunk = mender.mend(event.data)
        if (chunk !== 'unknown' && chunk !== undefined) yield chunk
      }
      if (!isLast && !isOver) next = await pull(rest, () => grace.begin(mender.isWhole()))
    }
    if (!mender.hasBegun())
      throw unreadable(`with a stream without an answer (${events.skipped()} lines skipped)`)
    if (!isLast && !mender.isWhole()) throw cutOff()
    const end = mender.finish()
    if (end) yield end
    const usage = mender.usage()
    if (usage) yield usage
  } catch (error) {
    isLast = false
    signal.throwIfAborted()
    throw error instanceof InferenceFault ? error : cutOff(error)
  } finally {
    grace.end()
    if (events.skipped() > 0) onSkipped?.(events.skipped())
    if (isLast) void drain(rest)
    else if (!isOver) await rest.return?.()
  }

  /** The next bytes; undefined at the end. Whatever ends an answer that is whole already is its end. */
  async function pull(from: AsyncIterator<Uint8Array>, before: () => void): Promise<Uint8Array | undefined> {
    before()
    try {
      const { done, value } = await from.next()
      return done ? undefined : value
    } catch (error) {
      signal.throwIfAborted()
      if (mender.isWhole()) return undefined
      throw error
    }
  }
}

/** Closes a connection on which the host says nothing more a while after its answer is whole. */
function createGrace(rest: ByteSource) {
  let timer: NodeJS.Timeout | undefined
  return {
    begin(isWhole: boolean) {
      if (isWhole) timer ??= setTimeout(() => rest.close(), graceMs)
    },
    end: () => clearTimeout(timer),
  }
}

/** Reads the little that follows the last event, so that the connection can be used again; closes it if there is more. */
async function drain(rest: ByteSource): Promise<void> {
  const timer = setTimeout(() => rest.close(), drainMs)
  let size = 0
  try {
    for (;;) {
      const { done, value } = await rest.next()
      if (done) return
      size += value.length
      if (size > drainBytes) return rest.close()
    }
  } catch {
    // The answer is with its reader already.
  } finally {
    clearTimeout(timer)
  }
}

const graceMs = 2_000
const drainMs = 1_000
const drainBytes = 64 * 1024

export interface ChunkSource {
  /** Bytes that were read already, to see what it is that comes. */
  first: Uint8Array
  rest: ByteSource
  signal: AbortSignal
  traits: ChunkTraits
  /** What an error of the host means. */
  trouble(body: unknown): InferenceFault
  onSkipped?: ((lines: number) => void) | undefined
}
