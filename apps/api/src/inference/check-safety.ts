import type { ChatChunk, ChatCompletion, ChatMessage } from '@millrace/inference/chat'
import { textsOf } from '@millrace/inference/count-tokens'
import type { EmbeddingsRequest } from '@millrace/inference/embeddings'
import { judgeChunks, silenced } from '@millrace/inference/judge-chunks'
import { filteredCategories, isFiltered, type Verdict } from '@millrace/inference/safety'
import { ApiError } from '../api-error.ts'
import type { QuietCall } from './infer.ts'

/** Has the safety filter look at what is asked. Throws CONTENT_POLICY_VIOLATION before anything is run. */
export function checkPrompt(call: Asking, messages: readonly ChatMessage[]): Promise<Verdict> {
  if (!call.context.safety.looks) return check(call, [], [])
  const parts = messages.flatMap(({ content }) => (Array.isArray(content) ? content : []))
  return check(
    call,
    messages.flatMap(textsOf),
    parts.flatMap(({ image_url: image }) => addressOf(image) ?? []),
  )
}

/** The same for what is to be embedded. Tokens that somebody else has cut are no words to anybody but the model. */
export function checkInput(call: Asking, input: EmbeddingsRequest['input']): Promise<Verdict> {
  return check(
    call,
    [input].flat(2).filter((part): part is string => typeof part === 'string' && part !== ''),
    [],
  )
}

async function check({ context: { safety }, signal }: Asking, texts: string[], images: string[]) {
  const verdicts = await Promise.all([
    safety.prompt(texts, { signal }),
    ...images.map((url) => safety.image(url, { signal })),
  ] as const)
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

/** The same for an answer. One that is forbidden loses its content, and says so in its `finish_reason`. */
export async function checkAnswer(
  { context, signal }: QuietCall,
  completion: ChatCompletion,
): Promise<Verdict[]> {
  const verdicts = await Promise.all(
    completion.choices.map(({ message }) => context.safety.completion(textsOf(message).join(''), { signal })),
  )
  completion.choices = completion.choices.map((choice, index) => {
    const verdict = verdicts[index]
    return verdict && isFiltered(verdict) ? silenced(choice) : choice
  })
  return verdicts
}

/** The same for a stream, whose answers are judged before their ends are told; `forbidden` gets the places of those that are. */
export function checkChunks(
  { context, signal }: QuietCall,
  chunks: AsyncGenerator<ChatChunk, void>,
  forbidden = new Set<number>(),
): AsyncGenerator<ChatChunk, void> {
  return judgeChunks(
    chunks,
    context.safety,
    { signal },
    {
      forbidden,
      judged(verdict, choice) {
        choice.content_filter_results = verdict
      },
    },
  )
}

type Asking = Pick<QuietCall, 'context' | 'signal'>
