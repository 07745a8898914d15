import type { ChatChoice, ChatChunk, ChatCompletion, ChatDelta, ToolCall } from './chat.ts'

/** The whole answer that a stream comes to. Throws what the stream throws; undefined where nothing came. */
export async function assemble(chunks: AsyncIterable<ChatChunk>): Promise<ChatCompletion | undefined> {
  const choices = new Map<number, Gathered>()
  let last: ChatChunk | undefined
  for await (const chunk of chunks) {
    last = chunk
    for (const { index, delta, finish_reason, logprobs } of chunk.choices) {
      const choice = choices.get(index) ?? { texts: new Map(), calls: [], reason: null, logprobs: undefined }
      choices.set(index, choice)
      add(choice, delta)
      choice.reason ??= finish_reason
      choice.logprobs ??= logprobs
    }
  }
  if (!last) return undefined
  const { id, created, model, usage } = last
  return {
    id,
    object: 'chat.completion',
    created,
    model,
    choices: [...choices].sort(([a], [b]) => a - b).map(([index, choice]) => choiceOf(index, choice)),
    usage: usage ?? undefined,
  }
}

function add({ texts, calls }: Gathered, delta: ChatDelta): void {
  for (const name of textNames) {
    const text = delta[name]
    if (typeof text === 'string') texts.set(name, (texts.get(name) ?? '') + text)
  }
  for (const { index, id, function: stated } of delta.tool_calls ?? []) {
    const call = calls[index] ?? { id: id ?? '', type: 'function', function: { name: '', arguments: '' } }
    calls[index] = call
    call.function.name += stated?.name ?? ''
    call.function.arguments += stated?.arguments ?? ''
  }
}

function choiceOf(index: number, { texts, calls, reason, logprobs }: Gathered): ChatChoice {
  const made = calls.filter(Boolean)
  return {
    index,
    message: {
      role: 'assistant',
      content: null,
      ...Object.fromEntries(texts),
      ...(made.length > 0 ? { tool_calls: made } : {}),
    },
    finish_reason: reason ?? 'stop',
    ...(logprobs === undefined ? {} : { logprobs }),
  }
}

const textNames = ['content', 'refusal', 'reasoning_content'] as const

interface Gathered {
  texts: Map<string, string>
  calls: ToolCall[]
  reason: string | null
  logprobs: unknown
}
