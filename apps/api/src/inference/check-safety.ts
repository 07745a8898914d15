import type { ChatCompletion, ChatMessage } from '@millrace/inference/chat'
import { filteredCategories, isFiltered, type Verdict } from '@millrace/inference/safety'
import { ApiError } from '../api-error.ts'
import type { Call } from './infer.ts'

/** Has the safety filter look at what is asked. Throws CONTENT_POLICY_VIOLATION before anything is run. */
export async function checkPrompt(
  { context, signal }: Pick<Call, 'context' | 'signal'>,
  messages: readonly ChatMessage[],
): Promise<Verdict> {
  const { safety } = context
  const parts = messages.flatMap(({ content }) =>
    typeof content === 'string' ? [{ type: 'text', text: content }] : (content ?? []),
  )
  const images = parts.flatMap(({ image_url: image }) => (image === undefined ? [] : [image.url]))
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

/** The same for an answer. One that is forbidden loses its content, and says so in its `finish_reason`. */
export async function checkAnswer({ context, signal }: Call, completion: ChatCompletion): Promise<Verdict[]> {
  const verdicts = await Promise.all(
    completion.choices.map(({ message }) =>
      context.safety.completion(typeof message.content === 'string' ? message.content : '', { signal }),
    ),
  )
  for (const [index, choice] of completion.choices.entries()) {
    const verdict = verdicts[index]
    if (!verdict || !isFiltered(verdict)) continue
    choice.message = { role: 'assistant', content: null, refusal: null }
    choice.finish_reason = 'content_filter'
  }
  return verdicts
}
