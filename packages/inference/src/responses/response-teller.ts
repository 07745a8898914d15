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

  /** The events that come before the answer; of a response that had to wait, one more. */
  begin({ queued = false } = {}): ResponseEvent[] {
    const response = blankResponse(this.#meta)
    const waiting: ResponseObject = { ...response, status: 'queued' }
    const before: ResponseEventBody[] = queued
      ? [
          { type: 'response.created', response: waiting },
          { type: 'response.queued', response: waiting },
        ]
      : [{ type: 'response.created', response }]
    return this.#all([...before, { type: 'response.in_progress', response }])
  }

  /** Reads one chunk, and gives the events that it makes. */
  read(chunk: ChatChunk): ResponseEvent[] {
    return this.#parts.read(chunk).flatMap((step) => this.#tell(step))
  }

  /** The answer has ended. */
  end(): ResponseEvent[] {
    const reason = incompleteReason(this.#parts.finishReason)
    const closing = this.#close(reason ? 'incomplete' : 'completed')
    const last = reason
      ? this.#last('response.incomplete', { status: 'incomplete', incomplete_details: { reason } })
      : this.#last('response.completed', { status: 'completed', completed_at: this.#meta.completedAt() })
    return [...closing, last]
  }

  /** The answer was cut. What has come of it stays in the response, but a half call is not told as done. */
  fail(error: { code: string; message: string }): ResponseEvent {
    if (this.#open) this.#output.push({ ...this.#open.item, status: 'incomplete' })
    return this.#last('response.failed', { status: 'failed', error })
  }

  /** The same with a response that is known. What is `partial` was not told to its end, and is not told as done. */
  endWith(response: ResponseObject, { partial = false } = {}): ResponseEvent[] {
    const { status } = response
    const isWhole = status === 'completed' || status === 'incomplete'
    const closing = partial || !isWhole ? [] : this.#close(status)
    return [
      ...closing,
      this.#numbered({ type: isWhole ? `response.${status}` : 'response.failed', response }),
    ]
  }

  /** Only what is told last can be incomplete. */
  #close(status: ItemStatus): ResponseEvent[] {
    const told = this.#parts.end().flatMap((step) => this.#tell(step))
    return [...told, ...this.#endItem(status)]
  }

  #tell(step: PartStep): ResponseEvent[] {
    if (step.kind === 'add') return this.#all(this.#open?.add(step.text, step.logprobs))
    // The item stays open at the end of a part: a refusal may follow a text in the same message.
    if (step.kind === 'end') return this.#all(this.#open?.end())
    const before = this.#open?.takes(step) ? [] : this.#endItem('completed')
    this.#open ??= openItem(step, {
      responseId: this.#meta.id,
      outputIndex: this.#output.length,
      callIds: this.#callIds,
    })
    return [...before, ...this.#all(this.#open.begin(step))]
  }

  #endItem(status: ItemStatus): ResponseEvent[] {
    if (!this.#open) return []
    const { item, outputIndex } = this.#open
    this.#open = undefined
    const done = { ...item, status }
    this.#output.push(done)
    return [this.#numbered({ type: 'response.output_item.done', output_index: outputIndex, item: done })]
  }

  #all(bodies: ResponseEventBody[] = []): ResponseEvent[] {
    return bodies.map((body) => this.#numbered(body))
  }

  #numbered(body: ResponseEventBody): ResponseEvent {
    return Object.assign(body, { sequence_number: this.#number++ })
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

/** All text of an output. */
export function outputText(output: OutputItem[]): string {
  return output
    .flatMap((item) => (item.type === 'message' ? item.content : []))
    .map((part) => (part.type === 'output_text' ? part.text : ''))
    .join('')
}
