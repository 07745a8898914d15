import { AnswerParts, type PartStep } from '../answer/parts.ts'
import type { ChatChunk } from '../chat.ts'
import { blankResponse, type ResponseMeta } from './blank-response.ts'
import type { ResponseEvent, ResponseEventBody, TerminalEvent } from './event.ts'
import { type OpenItem, openItem } from './open-item.ts'
import type { ItemStatus, OutputItem, ResponseObject } from './response.ts'
import { toResponseUsage } from './usage.ts'

/** Tells an answer as the events of a response, item after item, and puts the response together meanwhile. */
export class ResponseTeller {
  readonly #meta: ResponseMeta
  readonly #parts = new AnswerParts()
  readonly #output: OutputItem[] = []
  readonly #callIds = new Set<string>()
  #open: OpenItem | undefined
  #number = 0

  constructor(meta: ResponseMeta) {
    this.#meta = meta
  }

  /** The events that come before the answer. */
  *begin(): Generator<ResponseEvent> {
    const response = blankResponse(this.#meta)
    yield this.#numbered({ type: 'response.created', response })
    yield this.#numbered({ type: 'response.in_progress', response })
  }

  /** Reads one chunk, and gives the events that it makes. */
  *read(chunk: ChatChunk): Generator<ResponseEvent> {
    for (const step of this.#parts.read(chunk)) yield* this.#tell(step)
  }

  /** The answer has ended. */
  *end(): Generator<ResponseEvent> {
    const reason = incompleteReason(this.#parts.finishReason)
    yield* this.#close(reason ? 'incomplete' : 'completed')
    yield reason
      ? this.#last('response.incomplete', { status: 'incomplete', incomplete_details: { reason } })
      : this.#last('response.completed', { status: 'completed', completed_at: this.#meta.completedAt() })
  }

  /** The answer was cut. What has come of it stays in the response, but a half call is not told as done. */
  *fail(error: { code: string; message: string }): Generator<ResponseEvent> {
    if (this.#open) this.#output.push({ ...this.#open.item, status: 'incomplete' })
    yield this.#last('response.failed', { status: 'failed', error })
  }

  *#close(status: ItemStatus): Generator<ResponseEvent> {
    // Only what was being told when the answer ended can be incomplete.
    const steps = [...this.#parts.end()]
    const last = steps.findLastIndex(({ kind }) => kind === 'end')
    for (const [at, step] of steps.entries()) yield* this.#tell(step, at === last ? status : 'completed')
    yield* this.#endItem(status)
  }

  *#tell(step: PartStep, status: ItemStatus = 'completed'): Generator<ResponseEvent> {
    switch (step.kind) {
      case 'begin':
        if (this.#open && !this.#open.takes(step)) yield* this.#endItem('completed')
        this.#open ??= openItem(step, {
          responseId: this.#meta.id,
          outputIndex: this.#output.length,
          callIds: this.#callIds,
        })
        return yield* this.#all(this.#open.begin(step))
      case 'add':
        return yield* this.#all(this.#open?.add(step.text, step.logprobs) ?? [])
      case 'end':
        // The item stays open: a refusal may follow a text in the same message.
        yield* this.#all(this.#open?.end() ?? [])
        if (status !== 'completed') yield* this.#endItem(status)
    }
  }

  *#endItem(status: ItemStatus): Generator<ResponseEvent> {
    if (!this.#open) return
    const { item, outputIndex } = this.#open
    this.#open = undefined
    const done = { ...item, status }
    this.#output.push(done)
    yield this.#numbered({ type: 'response.output_item.done', output_index: outputIndex, item: done })
  }

  *#all(bodies: Iterable<ResponseEventBody>): Generator<ResponseEvent> {
    for (const body of bodies) yield this.#numbered(body)
  }

  #numbered(body: ResponseEventBody): ResponseEvent {
    const { type, ...rest } = body
    return { type, sequence_number: this.#number++, ...rest } as ResponseEvent
  }

  #last(type: TerminalEvent, how: Partial<ResponseObject>): ResponseEvent {
    const output = this.#output
    const response = {
      ...blankResponse(this.#meta),
      ...how,
      output,
      output_text: outputText(output),
      usage: toResponseUsage(this.#parts.usage),
    }
    return this.#numbered({ type, response })
  }
}

function incompleteReason(finish: string | null): 'max_output_tokens' | 'content_filter' | undefined {
  if (finish === 'length') return 'max_output_tokens'
  return finish === 'content_filter' ? 'content_filter' : undefined
}

function outputText(output: OutputItem[]): string {
  return output
    .flatMap((item) => (item.type === 'message' ? item.content : []))
    .map((part) => (part.type === 'output_text' ? part.text : ''))
    .join('')
}
