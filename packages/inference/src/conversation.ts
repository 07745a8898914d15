import type { ChatMessage, ContentPart } from './chat.ts'

/**
 * Puts a conversation together in the way that chat hosts demand: the calls of one turn are in one message, their
 * results follow it directly as text, and pictures or files in a result come in a user's message after all of them.
 */
export class Conversation {
  readonly #messages: ChatMessage[] = []
  /** What results hold beside text, until the last result of a turn is there. */
  #fromResults: ContentPart[] = []
  /** Where the turn begins that is not answered yet. */
  #turnStart = 0

  /** Adds a message as it is. */
  add(message: ChatMessage): void {
    const fromResults = this.#takeFromResults()
    if (message.role !== 'user') {
      if (fromResults.length > 0) this.#messages.push({ role: 'user', content: fromResults })
      this.#messages.push(message)
      return
    }
    const content = fromResults.length > 0 ? [...fromResults, ...partsOf(message.content)] : message.content
    this.#messages.push({ ...message, content })
    this.#turnStart = this.#messages.length
  }

  /** What the assistant said, after its own calls too where no result came between. */
  addAnswer(answer: { content: string | null; refusal?: string }): void {
    const open = this.#openTurn()
    if (!open?.tool_calls && !isThoughtOnly(open)) {
      this.add({ role: 'assistant', ...answer })
      return
    }
    const said = [open.content, answer.content].filter((text) => typeof text === 'string' && text !== '')
    Object.assign(open, answer, { content: said.length > 0 ? said.join('\n') : null })
  }

  /** What the assistant thought before it spoke or called. */
  addReasoning(text: string): void {
    if (text === '') return
    const open = this.#openTurn()
    if (open && (open.tool_calls || isThoughtOnly(open)))
      open.reasoning_content = `${open.reasoning_content ?? ''}${text}`
    else this.add({ role: 'assistant', content: null, reasoning_content: text })
  }

  /** A call that the assistant made, which belongs to what it said just before. */
  addCall({ id, name, arguments: args }: { id: string; name: string; arguments: string }): void {
    const call = { id, type: 'function' as const, function: { name, arguments: args } }
    const open = this.#openTurn()
    if (open) open.tool_calls = [...(open.tool_calls ?? []), call]
    else this.add({ role: 'assistant', content: null, tool_calls: [call] })
  }

  /** What a call gave. */
  addResult(id: string, result: string | ContentPart[]): void {
    const parts = partsOf(result)
    const text = parts
      .filter(isText)
      .map((part) => part.text)
      .join('\n')
    const files = parts.filter((part) => !isText(part))
    this.#messages.push({ role: 'tool', tool_call_id: id, content: text })
    if (files.length > 0) {
      this.#fromResults.push({ type: 'text', text: `From the result of the call ${id}:` }, ...files)
    }
  }

  /**
   * The whole of it. Reasoning is kept in the turn that is not answered yet, where hosts with thinking models ask for
   * it beside the calls, and left out of earlier ones, where they refuse it.
   */
  messages(): ChatMessage[] {
    const fromResults = this.#takeFromResults()
    if (fromResults.length > 0) this.#messages.push({ role: 'user', content: fromResults })
    return this.#messages.flatMap((message, at) => {
      if (message.reasoning_content === undefined) return [message]
      if (at >= this.#turnStart && !isThoughtOnly(message)) return [message]
      const { reasoning_content: _, ...spoken } = message
      return isThoughtOnly(message) ? [] : [spoken]
    })
  }

  #openTurn(): ChatMessage | undefined {
    const last = this.#messages.at(-1)
    return last?.role === 'assistant' && this.#fromResults.length === 0 ? last : undefined
  }

  #takeFromResults(): ContentPart[] {
    const taken = this.#fromResults
    this.#fromResults = []
    return taken
  }
}

function isThoughtOnly(message: ChatMessage | undefined): message is ChatMessage {
  return (
    message?.reasoning_content !== undefined &&
    message.content === null &&
    !message.tool_calls &&
    !message.refusal
  )
}

function isText(part: ContentPart): part is ContentPart & { text: string } {
  return part.type === 'text' && typeof part.text === 'string'
}

function partsOf(content: ChatMessage['content']): ContentPart[] {
  if (Array.isArray(content)) return content
  return typeof content === 'string' && content !== '' ? [{ type: 'text', text: content }] : []
}
