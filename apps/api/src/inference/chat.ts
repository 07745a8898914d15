import type { CreateChatCompletion } from '@millrace/contract/chat'
import { endpoints } from '@millrace/contract/endpoints'
import { newId } from '@millrace/database/ids'
import type { ChatReply } from '@millrace/inference/backend'
import type { ChatCompletion, ChatRequest } from '@millrace/inference/chat'
import { safe, type Verdict } from '@millrace/inference/safety'
import { inferenceError } from '../inference-error.ts'
import { answered, route } from '../route.ts'
import { checkAnswer, checkChunks, checkPrompt } from './check-safety.ts'
import { type Call, infer, type QuietCall } from './infer.ts'
import { runChat } from './run-chat.ts'
import { sendStream } from './send-stream.ts'

export const createChatCompletion = route(endpoints.createChatCompletion, (incoming) => {
  const { body, query } = incoming
  const stream = query.stream ?? body.stream ?? false
  return infer(incoming, { surface: 'chat', slug: body.model, stream }, async (call) => {
    if (!stream) return answerChat(call, body)
    const request = { ...body, stream } as ChatRequest
    const shown = shownAs(call, await checkPrompt(call, request.messages))
    const withUsage = body.stream_options?.include_usage === true
    await sendStream(
      call,
      runChat(call, request).then((reply) => framesOf(call, reply, shown, withUsage)),
      (fault) => `data: ${JSON.stringify(inferenceError(fault, call.requestId))}\n\n`,
    )
    return answered
  })
})

/** Answers a chat request as a whole. */
export async function answerChat(call: QuietCall, body: CreateChatCompletion): Promise<ChatCompletion> {
  const request = { ...body, stream: false } as ChatRequest
  const prompt = await checkPrompt(call, request.messages)
  return wholeAnswer(call, await runChat(call, request), shownAs(call, prompt))
}

/** What answers say of themselves: ids of ours, and the model as it was asked for. */
function shownAs({ slug }: QuietCall, prompt: Verdict): Shown {
  return {
    own: { id: `chatcmpl-${newId()}`, created: Math.floor(Date.now() / 1000), model: slug },
    prompt: [{ prompt_index: 0, content_filter_results: prompt }],
  }
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
async function* framesOf(call: Call, reply: ChatReply, { own, prompt }: Shown, withUsage: boolean) {
  if (reply.kind === 'whole') throw new Error('A host answered as a whole what was asked for as a stream.')
  let isFirst = true
  for await (const chunk of checkChunks(call, reply.chunks)) {
    const { usage, ...rest } = chunk
    const choices = chunk.choices.map((choice) =>
      choice.finish_reason === null ? choice : { content_filter_results: safe, ...choice },
    )
    if (choices.length === 0 && !withUsage) continue
    const shown = {
      ...rest,
      ...own,
      object: 'chat.completion.chunk',
      choices,
      ...(isFirst ? { prompt_filter_results: prompt } : {}),
      ...(withUsage ? { usage: usage ?? null } : {}),
    }
    isFirst = false
    yield `data: ${JSON.stringify(shown)}\n\n`
  }
  yield 'data: [DONE]\n\n'
}

interface Shown {
  own: { id: string; created: number; model: string }
  prompt: { prompt_index: number; content_filter_results: Verdict }[]
}
