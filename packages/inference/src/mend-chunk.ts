import { isRecord } from '@millrace/models/is-record'
import type { ChatChunk, ChatUsage, ChunkChoice } from './chat.ts'
import { callId, mendArguments, mendReason, mendTexts } from './mend-message.ts'
import { mendUsage } from './mend-usage.ts'

/**
 * Makes of each frame of one host's stream the chunk that it should have been, in place: the frame is not used
 * otherwise, and the path is hot. All chunks have one id and the slug that was asked for; usage is kept for the end.
 */
export function createChunkMender({ model, requestId, answers = 1 }: ChunkTraits): ChunkMender {
  const known: Known = { id: '', created: 0, choices: new Map() }

  function chunk(frame: Record<string, unknown>, choices: ChunkChoice[]): ChatChunk {
    if (known.id === '') {
      known.id = typeof frame.id === 'string' && frame.id !== '' ? frame.id : `chatcmpl-${requestId}`
      known.created = Number.isSafeInteger(frame.created)
        ? Number(frame.created)
        : Math.floor(Date.now() / 1000)
    }
    frame.id = known.id
    frame.object = 'chat.completion.chunk'
    frame.created = known.created
    frame.model = model
    frame.choices = choices
    frame.usage = undefined
    return frame as ChatChunk
  }

  return {
    mend(frame) {
      if (!isRecord(frame)) return 'unknown'
      const told = mendUsage(frame.usage)
      if (told) known.usage = told
      const { choices } = frame
      if (!Array.isArray(choices)) return told || choices === null || frame.object ? undefined : 'unknown'
      const mended = mendChoices(choices, known)
      return mended.length === 0 ? undefined : chunk(frame, mended)
    },
    isWhole() {
      // Some hosts make one answer after the other.
      if (known.choices.size < answers) return false
      for (const choice of known.choices.values()) if (!choice.finished) return false
      return true
    },
    hasBegun: () => known.choices.size > 0,
    finish() {
      const choices: ChunkChoice[] = []
      for (const [index, choice] of known.choices) {
        if (choice.finished) continue
        choice.finished = true
        choices.push({ index, delta: {}, finish_reason: choice.calls.length > 0 ? 'tool_calls' : 'stop' })
      }
      return choices.length === 0 ? undefined : chunk({}, choices)
    },
    usage() {
      return known.usage && { ...chunk({}, []), usage: known.usage }
    },
  }
}

function mendChoices(choices: unknown[], known: Known): ChunkChoice[] {
  const mended: ChunkChoice[] = []
  for (const [position, choice] of choices.entries()) {
    if (!isRecord(choice)) continue
    const index = Number.isSafeInteger(choice.index) ? Number(choice.index) : position
    let state = known.choices.get(index)
    if (!state) {
      state = { finished: false, calls: [] }
      known.choices.set(index, state)
    }
    const delta = deltaOf(choice)
    const reason = mendReason(choice.finish_reason)
    const again = state.finished
    if (reason !== null) state.finished = true
    // What comes after the end of an answer: a second end, or an empty word.
    if (again && isEmpty(delta)) continue
    if (Array.isArray(delta.tool_calls)) delta.tool_calls = mendCalls(delta.tool_calls, state)
    else if (delta.tool_calls !== undefined) delta.tool_calls = undefined
    choice.index = index
    choice.delta = delta
    choice.finish_reason = again ? null : reason
    mended.push(choice as ChunkChoice)
  }
  return mended
}

/** Its delta; hosts that stream whole messages, or text as the completions of old, are understood as well. */
function deltaOf(choice: Record<string, unknown>): Record<string, unknown> {
  const { delta, message, text } = choice
  const found = isRecord(delta)
    ? delta
    : isRecord(message)
      ? message
      : typeof text === 'string'
        ? { content: text }
        : {}
  if (message !== undefined) choice.message = undefined
  if (text !== undefined) choice.text = undefined
  if (found.role !== undefined) found.role = found.role ? 'assistant' : undefined
  mendTexts(found)
  return found
}

function isEmpty({ content, tool_calls, refusal, reasoning_content }: Record<string, unknown>): boolean {
  return !content && !tool_calls && !refusal && !reasoning_content
}

/** The first of a call has its id, those after it have none; `index` is which call it is. */
function mendCalls(deltas: unknown[], { calls }: Choice): unknown[] {
  return deltas.filter(isRecord).map((delta) => {
    const index = callOf(delta, calls)
    const stated = isRecord(delta.function) ? delta.function : {}
    const name = typeof stated.name === 'string' && stated.name !== '' ? stated.name : undefined
    const state = calls[index]
    const named = { name, arguments: mendArguments(stated.arguments) }
    if (!state) {
      const id = typeof delta.id === 'string' && delta.id !== '' ? delta.id : callId()
      calls[index] = { id, name }
      return { ...delta, index, id, type: 'function', function: { ...stated, ...named } }
    }
    // A name that is told again is not added to the one that was told.
    if (name === state.name) named.name = undefined
    else state.name ??= name
    return { ...delta, index, id: undefined, type: undefined, function: { ...stated, ...named } }
  })
}

/** Without an index, a new id begins a call, and so does a name where none has an id; what has neither goes on with the last. */
function callOf({ index, id, function: stated }: Record<string, unknown>, calls: readonly Call[]): number {
  const number = typeof index === 'string' && /^\d+$/.test(index) ? Number(index) : index
  if (typeof number === 'number' && Number.isSafeInteger(number) && number >= 0 && number < mostCalls)
    return number
  const last = Math.max(0, calls.length - 1)
  if (typeof id === 'string' && id !== '') {
    const found = calls.findIndex((call) => call?.id === id)
    return found === -1 ? calls.length : found
  }
  return isRecord(stated) && stated.name ? calls.length : last
}

/** Of one answer: a host's index is a place in a list of ours. */
const mostCalls = 1024

export interface ChunkMender {
  /** The chunk; undefined for a frame that says nothing a client needs, `unknown` for what is no frame of a chat. */
  mend(frame: unknown): ChatChunk | undefined | 'unknown'
  /** Something was said. */
  hasBegun(): boolean
  /** Something was said, and every answer that began has its `finish_reason`. */
  isWhole(): boolean
  /** The end of the answers that have none, of a host that says in another way that it is done. */
  finish(): ChatChunk | undefined
  /** The last chunk, where the host counted. */
  usage(): ChatChunk | undefined
}

export interface ChunkTraits {
  /** The slug as it was asked for. */
  model: string
  requestId: string
  /** How many were asked for; one unless stated. */
  answers?: number
}

interface Known {
  id: string
  created: number
  choices: Map<number, Choice>
  usage?: ChatUsage
}

interface Choice {
  finished: boolean
  calls: Call[]
}

interface Call {
  id: string
  name: string | undefined
}
