import type { ChatChunk, ChatCompletion } from '../chat.ts'

/** A whole answer as one chunk, so that answers are rendered in one way whether they streamed or not. */
export function chunkOf(completion: ChatCompletion): ChatChunk {
  const { id, created, model, usage } = completion
  const choices = completion.choices.map(({ message, ...choice }) => {
    const { tool_calls, ...delta } = message
    const calls = tool_calls?.map((call, index) => ({ ...call, index }))
    return { ...choice, delta: { ...delta, content: textOf(message.content), tool_calls: calls } }
  })
  return { id, object: 'chat.completion.chunk', created, model, choices, usage }
}

function textOf(content: ChatCompletion['choices'][number]['message']['content']): string | null {
  if (!Array.isArray(content)) return content ?? null
  return content.map(({ text }) => text ?? '').join('')
}
