import type { ChatChunk, ChatCompletion, ChatDelta, ChatMessage } from '@millrace/inference/chat'
import { filteredCategories, isFiltered, type Verdict } from '@millrace/inference/safety'
import { ApiError } from '../api-error.ts'
import type { QuietCall } from './infer.ts'

/** Has the safety filter look at what is asked. Throws CONTENT_POLICY_VIOLATION before anything is run. */
export async function checkPrompt(
  { context, signal }: Pick<QuietCall, 'context' | 'signal'>,
  messages: readonly ChatMessage[],
): Promise<Verdict> {
  const { safety } = context
  const parts = messages.flatMap(({ content }) =>
    typeof content === 'string' ? [{ type: 'text', text: content }] : (content ?? []),
  )
  const images = parts.flatMap(({ image_url: image }) => addressOf(image) ?? [])
  const verdicts = await Promise.all([
    safety.prompt(
      parts.flatMap(({ text }) => (text ? [text] : [])),
      { signal },
    ),
    ...(safety.looks ? images.map((url) => safety.image(url, { signal })) : []),
  ])
  const refused = verdicts.find(isFiltered)
  if (refused) {
    const categories = filteredCategories(refused).join(', ')
    throw new ApiError(
      'CONTENT_POLICY_VIOLATION',
      `The prompt was blocked by the safety filter: ${categories}.`,
    )
  }
  return verdicts[0]
}

/** Some clients send the address itself. */
function addressOf(image: unknown): string | undefined {
  if (typeof image === 'string') return image
  if (typeof image !== 'object' || image === null || !('url' in image)) return undefined
  return typeof image.url === 'string' ? image.url : undefined
}

/** All that a reader is shown of an answer, or of a part of one. */
export function shownText({
  content,
  reasoning_content: reasoning,
  refusal,
}: Pick<ChatMessage | ChatDelta, 'content' | 'reasoning_content' | 'refusal'>): string {
  const said = Array.isArray(content) ? content.map(({ text }) => text ?? '').join('') : content
  return [reasoning, said, refusal].filter(Boolean).join('')
}

/** The same for an answer. One that is forbidden loses its content, and says so in its `finish_reason`. */
export async function checkAnswer(
  { context, signal }: QuietCall,
  completion: ChatCompletion,
): Promise<Verdict[]> {
  const verdicts = await Promise.all(
    completion.choices.map(({ message }) => context.safety.completion(shownText(message), { signal })),
  )
  for (const [index, choice] of completion.choices.entries()) {
    const verdict = verdicts[index]
    if (!verdict || !isFiltered(verdict)) continue
    choice.message = { role: 'assistant', content: null, refusal: null }
    choice.finish_reason = 'content_filter'
    // They spell the text out.
    choice.logprobs = null
  }
  return verdicts
}

/** The same for a stream, as a whole and before its end is told: what was sent cannot be taken back. */
export async function* checkChunks(
  { context, signal }: QuietCall,
  chunks: AsyncGenerator<ChatChunk, void>,
): AsyncGenerator<ChatChunk, void> {
  const { safety } = context
  const said: string[] = []
  for await (const chunk of chunks) {
    for (const choice of safety.looks ? chunk.choices : []) {
      said[choice.index] = (said[choice.index] ?? '') + shownText(choice.delta)
      if (choice.finish_reason === null) continue
      const verdict = await safety.completion(said[choice.index] ?? '', { signal })
      choice.content_filter_results = verdict
      if (!isFiltered(verdict)) continue
      choice.finish_reason = 'content_filter'
      choice.delta = {}
      choice.logprobs = null
    }
    yield chunk
  }
}
