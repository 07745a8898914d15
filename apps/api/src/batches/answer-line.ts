import { setTimeout as delay } from 'node:timers/promises'
import type { LineEnd } from '@millrace/batches/batch-lines'
import type { BatchRequest } from '@millrace/contract/batch'
import {
  type CreateChatCompletion,
  type CreateEmbeddings,
  createChatCompletion,
  createEmbeddings,
} from '@millrace/contract/chat'
import { errors } from '@millrace/contract/errors'
import { toTypeId } from '@millrace/database/ids'
import type { ChatRequest } from '@millrace/inference/chat'
import { ApiError } from '../api-error.ts'
import { checkShape } from '../check-shape.ts'
import type { Context } from '../context.ts'
import { answerWhole } from '../inference/chat.ts'
import { embed } from '../inference/embeddings.ts'
import { asInferenceError, inferFor, type QuietCall } from '../inference/infer.ts'
import { inferenceError } from '../inference-error.ts'
import type { Rules } from '../permitted-models.ts'

/**
 * Has inference answer a line, as if it had come over HTTP, with its row in the activity log. Undefined when the signal
 * fired first: then the line is as it was.
 */
export async function answerLine(
  context: Context,
  { accountId, rules, key, id, signal }: LineOwner,
  { url, body }: BatchRequest,
): Promise<Omit<LineEnd, 'line'> | undefined> {
  const requestId = toTypeId('req', id)
  const origin = {
    // A line that is run again after a crash is charged once.
    id,
    accountId,
    rules,
    ...(key ? { key } : {}),
    requestId,
    signals: { gone: signal, signal, done: () => {} },
    whenGone: 'Its batch was stopped, or went to another api.',
  }
  try {
    const { surface, slug, work } = readLine(url, body)
    const answer = await inferFor(context, origin, { surface, slug, stream: false }, (call) =>
      patiently(call, work),
    )
    return { state: 'completed', answer: { status_code: 200, body: answer } }
  } catch (error) {
    if (signal.aborted) return undefined
    const known = asInferenceError(error)
    if (known.id === 'INTERNAL_ERROR')
      context.log.error({ err: error, request_id: requestId }, 'a line could not be answered')
    const { status } = errors[known.id]
    return { state: 'failed', answer: { status_code: status, body: inferenceError(known, requestId) } }
  }
}

/** What a line asks for. Throws INVALID_PARAMETER. */
function readLine(url: BatchRequest['url'], body: Record<string, unknown>): Asked {
  if (body.stream === true) {
    const message = 'must be false in a batch'
    throw new ApiError('INVALID_PARAMETER', `stream ${message}.`, { fields: [{ path: 'stream', message }] })
  }
  if (url === '/v1/embeddings') {
    const asked = checkShape(createEmbeddings, body, {}) as CreateEmbeddings
    return { surface: 'embeddings', slug: asked.model, work: (call) => embed(call, asked) }
  }
  const asked = checkShape(createChatCompletion, body, {}) as CreateChatCompletion
  return {
    surface: 'chat',
    slug: asked.model,
    work: (call) => answerWhole(call, { ...asked, stream: false } as ChatRequest),
  }
}

/** Nobody waits for a batch: a host that is busy, or away for a while, is waited for. */
async function patiently<T>(call: QuietCall, work: (call: QuietCall) => Promise<T>): Promise<T> {
  const since = performance.now()
  for (let pauseMs = 1_000; ; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
    try {
      return await work(call)
    } catch (error) {
      const { id } = asInferenceError(error)
      const passes = id === 'SERVICE_UNAVAILABLE' || id === 'RATE_LIMITED'
      if (!passes || call.signal.aborted || performance.now() - since > patienceMs) throw error
    }
    await delay(pauseMs, undefined, { signal: call.signal })
  }
}

const longestPauseMs = 30_000
const patienceMs = 10 * 60_000

/** What is known of the account and the key that a batch is of. */
export interface Asker {
  rules: Rules
  key: { id: string; name: string } | undefined
}

interface LineOwner extends Asker {
  accountId: string
  /** The line's. */
  id: string
  signal: AbortSignal
}

interface Asked {
  surface: 'chat' | 'embeddings'
  slug: string
  work(call: QuietCall): Promise<unknown>
}
