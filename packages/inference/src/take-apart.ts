import type { ChatChunk, ChatCompletion } from './chat.ts'

/** The chunks that a whole answer would have come in: its words, then its end, then its usage. */
export async function* takeApart(completion: ChatCompletion): AsyncGenerator<ChatChunk, void> {
  const { id, created, model, choices, usage } = completion
  const base = { id, object: 'chat.completion.chunk', created, model } as const
  const words = choices.map(({ index, message, logprobs }) => {
    const { content, tool_calls, ...rest } = message
    const calls = tool_calls?.map((call, position) => ({ ...call, index: position }))
    const delta = {
      ...rest,
      content: typeof content === 'string' ? content : null,
      ...(calls ? { tool_calls: calls } : {}),
    }
    return { index, delta, finish_reason: null, ...(logprobs ? { logprobs } : {}) }
  })
  yield { ...base, choices: words }
  yield {
    ...base,
    choices: choices.map(({ index, finish_reason }) => ({
      index,
      delta: {},
      finish_reason: finish_reason ?? 'stop',
    })),
  }
  if (usage) yield { ...base, choices: [], usage }
}
