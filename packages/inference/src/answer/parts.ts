import type { ChatChunk, ChatUsage, ChunkChoice } from '../chat.ts'
import { CallSlots, callsOf } from './call-slots.ts'
import { wholeJson } from './whole-json.ts'

/**
 * Reads the chunks of an answer as parts that follow one another: text, refusal, reasoning and calls, each begun, added
 * to and ended before the next begins. That is the order that the streams of other protocols demand, and chat does not
 * keep: hosts may mix the arguments of several calls. What comes for a later part waits until the one before is whole.
 * Only the first of several answers is read.
 */
export class AnswerParts {
  /** Why the answer ended, as the host says; null before that. */
  finishReason: string | null = null
  /** The stop sequence that ended it, where the host tells (vLLM). */
  stoppedBy: string | undefined
  usage: ChatUsage | undefined
  readonly #calls = new CallSlots<CallPart>()
  /** The first one is being told, the others wait. */
  readonly #waiting: Part[] = []
  #begun = false

  /** Reads one chunk, and gives what can be told by now. */
  read(chunk: ChatChunk): PartStep[] {
    if (chunk.usage) this.usage = chunk.usage
    const choice = chunk.choices?.find((one) => (one?.index ?? 0) === 0)
    if (!choice) return []
    this.#take(choice)
    return this.#tell(false)
  }

  /** The answer is over, whole or not: tells all the rest. */
  end(): PartStep[] {
    return this.#tell(true)
  }

  #take(choice: ChunkChoice): void {
    const { delta, finish_reason: finish, stop_reason: stoppedBy } = choice
    // OpenRouter and newer vLLM say `reasoning` where others say `reasoning_content`.
    this.#addText('reasoning', delta?.reasoning_content ?? delta?.reasoning)
    this.#addText('text', delta?.content, logprobsOf(choice, 'content'))
    this.#addText('refusal', delta?.refusal, logprobsOf(choice, 'refusal'))
    for (const call of callsOf(delta?.tool_calls)) {
      const { slot, isNew } = this.#calls.find(call, () => ({
        kind: 'call',
        id: '',
        name: '',
        told: '',
        held: '',
      }))
      slot.id ||= call.id ?? ''
      slot.name ||= call.function?.name ?? ''
      slot.held += call.function?.arguments ?? ''
      if (isNew) this.#waiting.push(slot)
    }
    if (finish) this.finishReason = finish
    if (typeof stoppedBy === 'string') this.stoppedBy = stoppedBy
  }

  #addText(kind: TextKind, text: unknown, logprobs: unknown[] = []): void {
    if (typeof text !== 'string' || text === '') return
    const last = this.#waiting.at(-1)
    if (last?.kind === kind) {
      last.held += text
      last.logprobs.push(...logprobs)
    } else this.#waiting.push({ kind, held: text, logprobs: [...logprobs] })
  }

  #tell(all: boolean): PartStep[] {
    const steps: PartStep[] = []
    for (let part = this.#waiting[0]; part; part = this.#waiting[0]) {
      this.#tellPart(part, steps)
      if (!all && !this.#isWhole(part)) break
      // A call that never had a name is none that anybody could make.
      if (this.#begun) steps.push({ kind: 'end' })
      this.#begun = false
      this.#waiting.shift()
    }
    return steps
  }

  #tellPart(part: Part, steps: PartStep[]): void {
    if (part.kind === 'call' && part.name === '') return
    if (!this.#begun) {
      const { kind } = part
      steps.push(
        kind === 'call'
          ? { kind: 'begin', part: kind, id: part.id, name: part.name }
          : { kind: 'begin', part: kind },
      )
      this.#begun = true
    }
    if (part.held === '') return
    steps.push({ kind: 'add', text: part.held, logprobs: part.kind === 'call' ? [] : part.logprobs })
    if (part.kind === 'call') part.told += part.held
    else part.logprobs = []
    part.held = ''
  }

  #isWhole(part: Part): boolean {
    return this.#waiting.length > 1 && (part.kind !== 'call' || wholeJson(part.told))
  }
}

/** What is told of a part, in this order: `begin`, any number of `add`, `end`. */
export type PartStep =
  | { kind: 'begin'; part: TextKind }
  | { kind: 'begin'; part: 'call'; id: string; name: string }
  | { kind: 'add'; text: string; logprobs: unknown[] }
  | { kind: 'end' }

/** The parts that are text. */
export type TextKind = 'text' | 'refusal' | 'reasoning'

type Part = TextPart | CallPart
interface TextPart {
  kind: TextKind
  held: string
  logprobs: unknown[]
}
interface CallPart {
  kind: 'call'
  id: string
  name: string
  told: string
  held: string
}

function logprobsOf(choice: ChunkChoice, of: 'content' | 'refusal'): unknown[] {
  const told = choice.logprobs
  if (typeof told !== 'object' || told === null || !(of in told)) return []
  const list = (told as Record<string, unknown>)[of]
  return Array.isArray(list) ? list : []
}
