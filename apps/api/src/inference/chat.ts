import { endpoints } from '@millrace/contract/endpoints'
import { newId } from '@millrace/database/ids'
import { assemble } from '@millrace/inference/assemble'
import type { ChatReply } from '@millrace/inference/backend'
import type { ChatChunk, ChatCompletion, ChatRequest } from '@millrace/inference/chat'
import { silencedAt } from '@millrace/inference/judge-chunks'
import { safe, type Verdict } from '@millrace/inference/safety'
import { inferenceError } from '../inference-error.ts'
import { answered, route } from '../route.ts'
import { creditsAfter } from './bill.ts'
import { checkAnswer, checkChunks, checkPrompt } from './check-safety.ts'
import { type Call, infer, type QuietCall } from './infer.ts'
import { keepAnswer } from './keep-answer.ts'
import { runChat } from './run-chat.ts'
import { sendStream } from './send-stream.ts'

export const createChatCompletion = route(endpoints.createChatCompletion, (incoming) => {
  const { body, query } = incoming
  const stream = query.stream ?? body.stream ?? false
  return infer(incoming, { surface: 'chat', slug: body.model, stream }, async (call) => {
    return answerChat(call, { ...body, stream } as ChatRequest)
  })
})

/** Answers a conversation, whole or as a stream. With `store` the answer is kept before its end is told. */
export async function answerChat(call: Call, asked: ChatRequest): Promise<ChatCompletion | typeof answered> {
  const { store, ...request } = asked
  const stored = store === true ? request : undefined
  if (!request.stream) {
    const { shown, whole } = await answerShown(call, request, stored)
    await keep(call, shown, whole)
    return { ...whole, ...(await creditsAfter(call)) }
  }
  const shown = shownAs(call, await checkPrompt(call, request.messages), stored)
  const withUsage = request.stream_options?.include_usage === true
  await sendStream(
    call,
    runChat(call, request).then((reply) => framesOf(call, reply, shown, withUsage)),
    (fault) => `data: ${JSON.stringify(inferenceError(fault, call.requestId))}\n\n`,
  )
  return answered
}

/** Answers as a whole whoever asks without a connection, and keeps nothing. */
export async function answerWhole(call: QuietCall, asked: ChatRequest): Promise<ChatCompletion> {
  const { store: _, ...request } = asked
  const { whole } = await answerShown(call, request, undefined)
  return whole
}

async function answerShown(call: QuietCall, request: ChatRequest, stored: ChatRequest | undefined) {
  const shown = shownAs(call, await checkPrompt(call, request.messages), stored)
  return { shown, whole: await wholeAnswer(call, await runChat(call, request), shown) }
}

/** What answers say of themselves: ids of ours, and the model as it was asked for. */
function shownAs({ slug }: QuietCall, prompt: Verdict, stored: ChatRequest | undefined): Shown {
  const uuid = newId()
  return {
    uuid,
    stored,
    own: { id: `chatcmpl-${uuid}`, created: Math.floor(Date.now() / 1000), model: slug },
    prompt: [{ prompt_index: 0, content_filter_results: prompt }],
  }
}

async function keep(call: Call, { uuid: id, stored }: Shown, answer: ChatCompletion): Promise<void> {
  if (!stored || call.signal.aborted) return
  await keepAnswer(call, { id, surface: 'chat', request: stored, answer })
}

async function wholeAnswer(
  call: QuietCall,
  reply: ChatReply,
  { own, prompt }: Shown,
): Promise<ChatCompletion> {
  if (reply.kind === 'stream') throw new Error('A host streamed what was asked for as a whole.')
  const { completion } = reply
  const verdicts = await checkAnswer(call, completion)
  return {
    ...completion,
    ...own,
    choices: completion.choices.map((choice, index) => ({
      ...choice,
      content_filter_results: verdicts[index] ?? safe,
    })),
    prompt_filter_results: prompt,
  }
}

/** The frames of a stream: chunk by chunk, as they come, and `[DONE]` at a normal end. */
async function* framesOf(call: Call, reply: ChatReply, shown: Shown, withUsage: boolean) {
  const { own, prompt, stored } = shown
  if (reply.kind === 'whole') throw new Error('A host answered as a whole what was asked for as a stream.')
  let isFirst = true
  const kept: ChatChunk[] = []
  const forbidden = new Set<number>()
  for await (const chunk of checkChunks(call, reply.chunks, forbidden)) {
    const { usage, ...rest } = chunk
    const choices = chunk.choices.map((choice) =>
      choice.finish_reason === null ? choice : { content_filter_results: safe, ...choice },
    )
    if (stored) kept.push({ ...chunk, choices })
    if (choices.length === 0 && !withUsage) continue
    const told = {
      ...rest,
      ...own,
      object: 'chat.completion.chunk',
      choices,
      ...(isFirst ? { prompt_filter_results: prompt } : {}),
      ...(withUsage ? { usage: usage ?? null } : {}),
      ...(withUsage && usage ? await creditsAfter(call) : {}),
    }
    isFirst = false
    yield `data: ${JSON.stringify(told)}\n\n`
  }
  const whole = stored && (await assemble(listed(kept)))
  if (whole) {
    const choices = silencedAt(whole.choices, forbidden)
    await keep(call, shown, { ...whole, ...own, choices, prompt_filter_results: prompt })
  }
  yield 'data: [DONE]\n\n'
}

async function* listed(chunks: ChatChunk[]): AsyncGenerator<ChatChunk, void> {
  yield* chunks
}

interface Shown {
  uuid: string
  /** What is kept with the answer; undefined where that was not asked for. */
  stored: ChatRequest | undefined
  own: { id: string; created: number; model: string }
  prompt: { prompt_index: number; content_filter_results: Verdict }[]
}
