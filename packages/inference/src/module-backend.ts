import { randomUUID } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ModelDescription } from '@millrace/models/description'
import { openProvider } from '@millrace/providers/open-provider'
import type { Outcome, Provider } from '@millrace/providers/provider'
import type { Backend } from './backend.ts'
import { beginStream } from './begin-stream.ts'
import type { ChatChunk, ChatRequest } from './chat.ts'
import type { Embeddings } from './embeddings.ts'
import { InferenceFault } from './fault.ts'
import { readerGone } from './hold-stream.ts'
import { type ChatPart, chunkOf, completionOf, finishOf, openingOf } from './module-parts.ts'

/**
 * A chat model that is a file of ours. It runs in a child process like every model, so that a crash or a busy loop in it
 * stops nobody else. Its `run` gets the request as it is on the wire; it yields strings, which are parts of the text, and
 * objects with what else a message has: `{tool_calls}`, `{reasoning_content}`, `{refusal}`, `{finish_reason}`, `{usage}`.
 * For embeddings it returns `{vectors, usage}`.
 */
export function openModule(description: ModelDescription): ModuleBackend {
  const provider: Provider = openProvider(description)
  const inside = new Set<Promise<Outcome>>()

  function perform(input: Record<string, unknown>, signal: AbortSignal, hear: (text: string) => void) {
    const id = randomUUID()
    const running = provider.run({
      id,
      attempt: 1,
      input,
      workDir: join(tmpdir(), `millrace-inference-${id}`),
      signal,
      emit(event) {
        if (event.kind === 'output' && typeof event.delta === 'string') hear(event.delta)
      },
    })
    inside.add(running)
    const leave = () => void inside.delete(running)
    running.then(leave, leave)
    return running
  }

  return {
    host: 'module',
    async chat(request, call) {
      const heard = openQueue()
      const reader = new AbortController()
      const signal = AbortSignal.any([call.signal, reader.signal])
      const outcome = perform(request, signal, heard.put)
        .then((ended) => {
          for (const part of unheard(outputOf(ended, signal), heard.isUsed())) heard.put(part)
        })
        .then(heard.end, heard.fail)
      if (request.stream) {
        const stop = () => reader.abort(readerGone)
        const chunks = await beginStream(chunksOf(request, heard.take(), stop))
        if (!chunks) throw new Error('A stream has at least its beginning.')
        return { kind: 'stream', chunks }
      }
      const parts: ChatPart[] = []
      for await (const part of heard.take()) parts.push(part)
      await outcome
      return { kind: 'whole', completion: completionOf(request, parts) }
    },
    async embed(request, { signal }) {
      const said = outputOf(await perform(request, signal, () => {}), signal)
      const { vectors, usage } = (said ?? {}) as Partial<Embeddings>
      if (!Array.isArray(vectors)) throw new InferenceFault('INFERENCE_ERROR', 'The model gave no vectors.')
      return { vectors, usage }
    },
    async close() {
      while (inside.size > 0) await Promise.all(inside)
      await provider.close()
    },
  }
}

/** What fails before the first part says nothing. However it ends, the model is `stop`ped, which is nothing to one that has ended. */
async function* chunksOf(
  request: ChatRequest,
  parts: AsyncGenerator<ChatPart, void>,
  stop: () => void,
): AsyncGenerator<ChatChunk, void> {
  // Texts have been sent; the end is made of what else was said.
  const stated: ChatPart[] = []
  try {
    const first = await parts.next()
    yield openingOf(request)
    for (let next = first; !next.done; next = await parts.next()) {
      const chunk = chunkOf(request, next.value, stated)
      if (typeof next.value !== 'string') stated.push(next.value)
      if (chunk) yield chunk
    }
    yield* finishOf(request, stated)
  } finally {
    stop()
    await parts.return()
  }
}

function outputOf(outcome: Outcome, signal: AbortSignal): unknown {
  switch (outcome.kind) {
    case 'succeeded':
      return outcome.output
    case 'failed':
      if (outcome.code === 'CONTENT_POLICY_VIOLATION')
        throw new InferenceFault('CONTENT_POLICY_VIOLATION', outcome.detail)
      throw new InferenceFault('INFERENCE_ERROR', outcome.detail, { cause: outcome.stack })
    case 'unavailable':
      throw new InferenceFault('SERVICE_UNAVAILABLE', outcome.reason, { elsewhere: true })
    case 'crashed':
      throw new InferenceFault(
        'INFERENCE_ERROR',
        'The process of the model ended in the middle of its answer.',
        {
          elsewhere: true,
          cause: outcome.detail,
        },
      )
    case 'aborted':
      throw signal.reason
  }
}

/** What was not heard while it was made: objects that were yielded, and a text that was returned. */
function unheard(output: unknown, isHeard: boolean): ChatPart[] {
  if (Array.isArray(output)) return (output as ChatPart[]).filter((part) => typeof part !== 'string')
  if (typeof output === 'string') return isHeard ? [] : [output]
  return typeof output === 'object' && output !== null ? [output as ChatPart] : []
}

/** What one side says, for the other to read in its own time. */
function openQueue() {
  const waiting: ChatPart[] = []
  let used = false
  let ended = false
  let fault: { error: unknown } | undefined
  let wake = () => {}
  return {
    isUsed: () => used,
    put(part: ChatPart) {
      used = true
      waiting.push(part)
      wake()
    },
    end() {
      ended = true
      wake()
    },
    fail(error: unknown) {
      fault = { error }
      wake()
    },
    async *take(): AsyncGenerator<ChatPart, void> {
      for (;;) {
        for (let part = waiting.shift(); part !== undefined; part = waiting.shift()) yield part
        if (fault) throw fault.error
        if (ended) return
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    },
  }
}

/** A backend with a process of its own. */
export interface ModuleBackend extends Backend {
  /** Ends the process, once nobody is inside. */
  close(): Promise<void>
}
