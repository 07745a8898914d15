import { once } from 'node:events'
import type { Response } from 'express'
import { asApiError } from '../../answer-error.ts'
import type { Context } from '../../context.ts'
import { inferenceError } from '../../inference-error.ts'
import { answered } from '../../route.ts'

/**
 * Answers with events as OpenAI's clients read them, each named by its `type`. The headers go at once, a comment every
 * 15 s. What is thrown then is one frame with the error, and the end.
 */
export async function streamMedia(
  { log }: Context,
  response: Response,
  gone: AbortSignal,
  events: AsyncIterable<{ type: string }>,
): Promise<typeof answered> {
  response.status(200).set({
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache',
    'x-accel-buffering': 'no',
  })
  response.flushHeaders()
  const heartbeat = setInterval(() => response.write(': still here\n\n'), heartbeatMs)
  try {
    for await (const event of events) {
      await write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
      if (gone.aborted) break
    }
  } catch (thrown) {
    const error = asApiError(thrown)
    const requestId = String(response.getHeader('x-request-id') ?? '')
    if (error.id === 'INTERNAL_ERROR') log.error({ err: thrown, request_id: requestId }, 'a request failed')
    response.locals.errorId = error.id
    await write(`data: ${JSON.stringify(inferenceError(error, requestId))}\n\n`)
  } finally {
    clearInterval(heartbeat)
    response.end()
  }
  return answered

  async function write(frame: string): Promise<void> {
    if (gone.aborted || response.write(frame)) return
    await once(response, 'drain', { signal: gone }).catch(() => {})
  }
}

const heartbeatMs = 15_000
