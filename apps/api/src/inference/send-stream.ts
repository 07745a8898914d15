import { setTimeout as delay } from 'node:timers/promises'
import type { ApiError } from '../api-error.ts'
import { type EventStream, openEventStream } from './event-stream.ts'
import { asInferenceError, type Call } from './infer.ts'

/**
 * Sends an answer while it is made. Its headers go with the first part of it, so that what fails before has a status of
 * its own; after 15 seconds of silence they go by themselves, and what fails then is told in the stream by `faultFrame`.
 * Ends when the answer does, or the client goes. `alive` is sent in silence, a comment unless given.
 */
export async function sendStream(
  call: Call,
  frames: Promise<AsyncIterable<string>>,
  faultFrame: (fault: ApiError) => string,
  alive?: string,
): Promise<void> {
  const { response, signal, note } = call
  let stream: EventStream | undefined
  const open = () => {
    note.opened = true
    stream ??= openEventStream(response, signal, alive)
    return stream
  }
  const patience = new AbortController()
  // A rejection is met below, however late.
  frames.catch(() => {}).finally(() => patience.abort())
  await delay(silenceMs, undefined, { signal: patience.signal }).then(open, () => {})
  try {
    const coming = await frames
    for await (const frame of coming) {
      await open().send(frame)
      if (signal.aborted) break
    }
  } catch (error) {
    if (!stream) throw error
    const fault = asInferenceError(error)
    note.fault ??= fault
    await stream.send(faultFrame(fault))
  } finally {
    stream?.end()
  }
}

const silenceMs = 15_000
