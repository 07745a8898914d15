import { AnswerParts, type PartStep } from '../answer/parts.ts'
import type { ChatChunk, ChatUsage } from '../chat.ts'
import type { BlockDelta, Message, MessageBlock, MessageEnd, MessageEvent, MessageUsage } from './message.ts'

/** What a message is made with beside the answer. */
export interface MessageMeta {
  /** `msg_…`. */
  id: string
  /** The slug as asked. */
  model: string
  /** Those of the request. */
  stopSequences?: string[] | undefined
  /** What is known of the prompt before the host has counted it. */
  inputTokens?: number | undefined
}

/** Tells an answer as the events of a message, block after block. */
export class MessageTeller {
  readonly #meta: MessageMeta
  readonly #parts = new AnswerParts()
  readonly #callIds = new Set<string>()
  #part: PartStep & { kind: 'begin' } = { kind: 'begin', part: 'text' }
  #index = -1
  #called = false
  #refused = false

  constructor(meta: MessageMeta) {
    this.#meta = meta
  }

  /** The events that come before the answer. */
  begin(): MessageEvent[] {
    return [{ type: 'message_start', message: blankMessage(this.#meta) }, { type: 'ping' }]
  }

  /** Reads one chunk, and gives the events that it makes. */
  read(chunk: ChatChunk): MessageEvent[] {
    return this.#parts.read(chunk).map((step) => this.#tell(step))
  }

  /** The answer has ended. */
  end(): MessageEvent[] {
    const rest = this.#parts.end().map((step) => this.#tell(step))
    const usage = toMessageUsage(this.#parts.usage, this.#meta)
    return [...rest, { type: 'message_delta', delta: this.#how(), usage }, { type: 'message_stop' }]
  }

  #tell(step: PartStep): MessageEvent {
    switch (step.kind) {
      case 'begin':
        this.#part = step
        this.#index += 1
        return { type: 'content_block_start', index: this.#index, content_block: this.#block(step) }
      case 'add':
        return { type: 'content_block_delta', index: this.#index, delta: deltaOf(this.#part.part, step.text) }
      case 'end':
        return { type: 'content_block_stop', index: this.#index }
    }
  }

  #block(step: PartStep & { kind: 'begin' }): MessageBlock {
    if (step.part === 'refusal') this.#refused = true
    if (step.part === 'reasoning') return { type: 'thinking', thinking: '', signature: '' }
    if (step.part !== 'call') return { type: 'text', text: '', citations: null }
    this.#called = true
    // Clients need ids of their own for all calls of a message.
    const known = step.id !== '' && !this.#callIds.has(step.id)
    const id = known ? step.id : `toolu_${this.#meta.id.replace(/^msg_/, '')}_${this.#index}`
    this.#callIds.add(id)
    return { type: 'tool_use', id, name: step.name, input: {} }
  }

  #how(): MessageEnd {
    const { finishReason, stoppedBy } = this.#parts
    const sequence = this.#meta.stopSequences?.find((one) => one === stoppedBy) ?? null
    if (this.#refused || finishReason === 'content_filter')
      return { stop_reason: 'refusal', stop_sequence: null }
    if (finishReason === 'length') return { stop_reason: 'max_tokens', stop_sequence: null }
    if (sequence !== null) return { stop_reason: 'stop_sequence', stop_sequence: sequence }
    return { stop_reason: this.#called ? 'tool_use' : 'end_turn', stop_sequence: null }
  }
}

/** A message before anything has come. */
export function blankMessage(meta: MessageMeta): Message {
  return {
    id: meta.id,
    type: 'message',
    role: 'assistant',
    model: meta.model,
    content: [],
    stop_reason: null,
    stop_sequence: null,
    usage: toMessageUsage(undefined, meta),
  }
}

function deltaOf(part: (PartStep & { kind: 'begin' })['part'], text: string): BlockDelta {
  if (part === 'call') return { type: 'input_json_delta', partial_json: text }
  return part === 'reasoning' ? { type: 'thinking_delta', thinking: text } : { type: 'text_delta', text }
}

function toMessageUsage(usage: ChatUsage | undefined, { inputTokens = 0 }: MessageMeta): MessageUsage {
  const cached = usage?.prompt_tokens_details?.cached_tokens ?? 0
  return {
    input_tokens: usage ? Math.max(0, usage.prompt_tokens - cached) : inputTokens,
    output_tokens: usage?.completion_tokens ?? 0,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: cached,
  }
}
