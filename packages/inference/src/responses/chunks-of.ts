import { isRecord } from '@millrace/models/is-record'
import type { ChatChunk, ChatDelta, ToolCallDelta } from '../chat.ts'
import { InferenceFault } from '../fault.ts'
import { inWords } from '../read-fields.ts'
import { finishReason, fromResponse, reasoningOf, toToolCall } from './from-response.ts'
import { hostFault } from './host-fault.ts'
import type { ResponseUsage } from './response.ts'
import { toChatUsage } from './usage.ts'

/**
 * The event stream of a host that speaks only Responses as chunks of chat. Events that chat has no word for are passed
 * over. What the host tells only when it is done, without deltas before, is told then. Throws an `InferenceFault` where
 * the host fails, and where its stream ends before it says that the response has.
 */
export async function* chunksOf(events: AsyncIterable<unknown>): AsyncGenerator<ChatChunk, void> {
  const reader = new EventReader()
  for await (const event of events) {
    if (!isRecord(event)) continue
    for (const chunk of reader.read(event)) yield chunk
    if (reader.ended) return
  }
  throw new InferenceFault('INFERENCE_ERROR', 'The answer was cut off.', { down: true, elsewhere: true })
}

class EventReader {
  ended = false
  #head = { id: '', created: 0, model: '' }
  /** How many characters of each part, by its item and place, were told. */
  readonly #told = new Map<string, number>()
  /** The place among the calls, by the item's place in the output. */
  readonly #calls = new Map<unknown, number>()
  #spoke = false;

  *read(event: Record<string, unknown>): Generator<ChatChunk> {
    const { type, response, item } = event
    switch (type) {
      case 'response.created':
        if (isRecord(response)) this.#head = headOf(response)
        return
      case 'response.output_text.delta':
        return yield* this.#text('content', event, event.delta, logprobs(event))
      case 'response.refusal.delta':
        return yield* this.#text('refusal', event, event.delta)
      case 'response.reasoning_text.delta':
      case 'response.reasoning_summary_text.delta':
        return yield* this.#text('reasoning_content', event, event.delta)
      case 'response.function_call_arguments.delta':
        return yield* this.#arguments(event.output_index, event.delta)
      case 'response.output_item.added':
        if (isRecord(item)) yield* this.#call(item, event.output_index)
        return
      case 'response.output_item.done':
        if (isRecord(item)) yield* this.#rest(item, event.output_index)
        return
      case 'response.completed':
      case 'response.incomplete':
        if (isRecord(response)) yield* this.#end(response)
        return
      case 'response.failed':
        throw hostFault(isRecord(response) ? response.error : undefined)
      case 'error':
        throw hostFault(isRecord(event.error) ? event.error : event)
    }
  }

  *#text(
    field: TextField,
    at: Record<string, unknown>,
    delta: unknown,
    probabilities?: unknown,
  ): Generator<ChatChunk> {
    if (typeof delta !== 'string' || delta === '') return
    const key = `${field} ${at.output_index}`
    this.#told.set(key, (this.#told.get(key) ?? 0) + delta.length)
    yield this.#chunk({ [field]: delta }, null, probabilities)
  }

  *#call(item: Record<string, unknown>, at: unknown): Generator<ChatChunk> {
    if (item.type !== 'function_call' || this.#calls.has(at)) return
    const index = this.#calls.size
    this.#calls.set(at, index)
    const { id, type, function: called } = toToolCall(item)
    this.#told.set(`arguments ${at}`, called.arguments.length)
    yield this.#chunk({ tool_calls: [{ index, id, type, function: called }] })
  }

  *#arguments(at: unknown, delta: unknown): Generator<ChatChunk> {
    const index = this.#calls.get(at)
    if (index === undefined || typeof delta !== 'string' || delta === '') return
    const key = `arguments ${at}`
    this.#told.set(key, (this.#told.get(key) ?? 0) + delta.length)
    const call: ToolCallDelta = { index, function: { arguments: delta } }
    yield this.#chunk({ tool_calls: [call] })
  }

  /** What an item holds beyond what its deltas told. */
  *#rest(item: Record<string, unknown>, at: unknown): Generator<ChatChunk> {
    const place = { output_index: at }
    const untold = (key: string, whole: string) => whole.slice(this.#told.get(`${key} ${at}`) ?? 0)
    if (item.type === 'function_call') {
      yield* this.#call(item, at)
      yield* this.#arguments(at, untold('arguments', toToolCall(item).function.arguments))
    } else if (item.type === 'reasoning') {
      if (!this.#told.has(`reasoning_content ${at}`))
        yield* this.#text('reasoning_content', place, reasoningOf(item))
    } else if (item.type === 'message') {
      const { message } = fromResponse({ output: [item] }).choices[0] ?? {}
      const { content, refusal } = message ?? {}
      if (typeof content === 'string') yield* this.#text('content', place, untold('content', content))
      if (refusal) yield* this.#text('refusal', place, untold('refusal', refusal))
    }
  }

  *#end(response: Record<string, unknown>): Generator<ChatChunk> {
    const output = Array.isArray(response.output) ? response.output.filter(isRecord) : []
    // A host may tell all at its end, and nothing before.
    if (this.#told.size === 0) for (const [at, item] of output.entries()) yield* this.#rest(item, at)
    yield this.#chunk({}, finishReason(response, this.#calls.size > 0))
    const usage = toChatUsage(response.usage as Partial<ResponseUsage> | null | undefined)
    if (usage) yield { ...this.#chunk({}), choices: [], usage }
    this.ended = true
  }

  #chunk(delta: ChatDelta, finish: string | null = null, probabilities?: unknown): ChatChunk {
    // Nothing is said before the host says something: until then another may be asked.
    const whole: ChatDelta = this.#spoke ? delta : { role: 'assistant', ...delta }
    this.#spoke = true
    const choice = { index: 0, delta: whole, finish_reason: finish, logprobs: probabilities ?? null }
    return { ...this.#head, object: 'chat.completion.chunk', choices: [choice] }
  }
}

type TextField = 'content' | 'refusal' | 'reasoning_content'

function headOf({ id, created_at: created, model }: Record<string, unknown>) {
  return { id: inWords(id), created: typeof created === 'number' ? created : 0, model: inWords(model) }
}

function logprobs({ logprobs: told }: Record<string, unknown>): unknown {
  return Array.isArray(told) && told.length > 0 ? { content: told, refusal: null } : undefined
}
