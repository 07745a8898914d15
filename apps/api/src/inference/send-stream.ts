import type { ApiError } from '../api-error.ts'
import { type EventStream, openEventStream, silenceMs } from './event-stream.ts'
import { type Call, noteFault } from './infer.ts'

/**
 * Sends an answer while it is made. Its headers go with the first part of it, so that what fails before has a status of
 * its own; after 15 seconds of silence they go by themselves, and what fails then is told in the stream by `faultFrame`.
 * Ends when the answer does, the client goes, or the server stops; that, too, is told in the stream. `alive` is sent in
 * silence, a comment unless given.
 */
export async function sendStream(
  call: Call,
  frames: Promise<AsyncIterable<string>>,
  faultFrame: (fault: ApiError) => string,
  alive = ': still here\n\n',
): Promise<void> {
  const { response, gone, signal, note } = call
  let stream: EventStream | undefined
  const open = () => {
    note.opened = true
    stream ??= openEventStream(response, call, alive)
    return stream
  }
  const patience = setTimeout(() => void open().send(alive), silenceMs)
  try {
    for await (const frame of await frames.finally(() => clearTimeout(patience))) {
      if (gone.aborted) return
      await open().send(frame)
      if (gone.aborted) return
      signal.throwIfAborted()
    }
  } catch (error) {
    if (!stream) throw error
    const fault = noteFault(call, error)
    if (fault) await stream.send(faultFrame(fault))
  } finally {
    stream?.end()
  }
}
