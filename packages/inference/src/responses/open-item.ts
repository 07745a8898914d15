import type { PartStep } from '../answer/parts.ts'
import type { PartInEvent, ResponseEventBody } from './event.ts'
import { callId, itemId } from './item-ids.ts'
import type { CallItem, MessageItem, MessagePart, OutputItem, ReasoningItem } from './response.ts'

/** The item of a response that is being told. */
export interface OpenItem {
  readonly outputIndex: number
  /** As it is by now. */
  readonly item: OutputItem
  /** Whether this part is one more of the item, and not an item of its own. */
  takes(step: Begin): boolean
  begin(step: Begin): ResponseEventBody[]
  add(text: string, logprobs: unknown[]): ResponseEventBody[]
  /** The part has ended. */
  end(): ResponseEventBody[]
}

/** The item that a part begins. */
export function openItem(step: Begin, place: Place): OpenItem {
  if (step.part === 'call') return new OpenCall(step, place)
  return step.part === 'reasoning' ? new OpenReasoning(place) : new OpenMessage(place)
}

type Begin = Extract<PartStep, { kind: 'begin' }>
interface Place {
  responseId: string
  outputIndex: number
  /** Those that are taken. */
  callIds: Set<string>
}

class OpenMessage implements OpenItem {
  readonly outputIndex: number
  readonly item: MessageItem
  #part: MessagePart = textPart()

  constructor({ responseId, outputIndex }: Place) {
    this.outputIndex = outputIndex
    const id = itemId('msg', responseId, outputIndex)
    this.item = { type: 'message', id, role: 'assistant', status: 'in_progress', content: [] }
  }

  takes(step: Begin): boolean {
    return step.part === 'text' || step.part === 'refusal'
  }

  begin(step: Begin): ResponseEventBody[] {
    const first = this.item.content.length === 0 ? [added(this)] : []
    const make = () => (step.part === 'refusal' ? { type: 'refusal' as const, refusal: '' } : textPart())
    this.#part = make()
    this.item.content.push(this.#part)
    return [...first, { type: 'response.content_part.added', ...this.#at, part: make() }]
  }

  add(delta: string, logprobs: unknown[]): ResponseEventBody[] {
    const part = this.#part
    if (part.type === 'refusal') {
      part.refusal += delta
      return [{ type: 'response.refusal.delta', ...this.#at, delta }]
    }
    part.text += delta
    part.logprobs.push(...logprobs)
    return [{ type: 'response.output_text.delta', ...this.#at, delta, logprobs }]
  }

  end(): ResponseEventBody[] {
    const part = this.#part
    const done: ResponseEventBody =
      part.type === 'refusal'
        ? { type: 'response.refusal.done', ...this.#at, refusal: part.refusal }
        : { type: 'response.output_text.done', ...this.#at, text: part.text, logprobs: part.logprobs }
    return [done, { type: 'response.content_part.done', ...this.#at, part }]
  }

  get #at() {
    return {
      item_id: this.item.id,
      output_index: this.outputIndex,
      content_index: this.item.content.length - 1,
    }
  }
}

class OpenReasoning implements OpenItem {
  readonly outputIndex: number
  readonly item: ReasoningItem
  readonly #part: Extract<PartInEvent, { type: 'reasoning_text' }> = { type: 'reasoning_text', text: '' }

  constructor({ responseId, outputIndex }: Place) {
    this.outputIndex = outputIndex
    const id = itemId('rs', responseId, outputIndex)
    this.item = { type: 'reasoning', id, summary: [], content: [], status: 'in_progress' }
  }

  takes(): boolean {
    return false
  }

  begin(): ResponseEventBody[] {
    const begun = added(this)
    this.item.content.push(this.#part)
    return [begun, { type: 'response.content_part.added', ...this.#at, part: { ...this.#part } }]
  }

  add(delta: string): ResponseEventBody[] {
    this.#part.text += delta
    return [{ type: 'response.reasoning_text.delta', ...this.#at, delta }]
  }

  end(): ResponseEventBody[] {
    return [
      { type: 'response.reasoning_text.done', ...this.#at, text: this.#part.text },
      { type: 'response.content_part.done', ...this.#at, part: this.#part },
    ]
  }

  get #at() {
    return { item_id: this.item.id, output_index: this.outputIndex, content_index: 0 }
  }
}

class OpenCall implements OpenItem {
  readonly outputIndex: number
  readonly item: CallItem

  constructor({ id, name }: { id?: string; name?: string }, { responseId, outputIndex, callIds }: Place) {
    this.outputIndex = outputIndex
    // Clients refuse two calls of one id.
    const call_id = id && !callIds.has(id) ? id : callId(responseId, outputIndex)
    callIds.add(call_id)
    this.item = {
      type: 'function_call',
      id: itemId('fc', responseId, outputIndex),
      call_id,
      name: name ?? '',
      arguments: '',
      status: 'in_progress',
    }
  }

  takes(): boolean {
    return false
  }

  begin(): ResponseEventBody[] {
    return [added(this)]
  }

  add(delta: string): ResponseEventBody[] {
    this.item.arguments += delta
    return [{ type: 'response.function_call_arguments.delta', ...this.#at, delta }]
  }

  end(): ResponseEventBody[] {
    const { name, arguments: whole } = this.item
    return [{ type: 'response.function_call_arguments.done', ...this.#at, name, arguments: whole }]
  }

  get #at() {
    return { item_id: this.item.id, output_index: this.outputIndex }
  }
}

function added({ item, outputIndex }: OpenItem): ResponseEventBody {
  const blank = item.type === 'function_call' ? item : { ...item, content: [] }
  return { type: 'response.output_item.added', output_index: outputIndex, item: { ...blank } as OutputItem }
}

function textPart(): Extract<MessagePart, { type: 'output_text' }> {
  return { type: 'output_text', text: '', annotations: [], logprobs: [] }
}
