import type { ChatReply } from '@millrace/inference/backend'
import type { ChatChunk, ChatCompletion, ChatRequest, ChatUsage } from '@millrace/inference/chat'
import { countText, estimatePrompt } from '@millrace/inference/count-tokens'
import { limitAnswer } from '@millrace/inference/limit-answer'
import { asInferenceError, type Call } from './infer.ts'

/**
 * Has a chat request answered, whichever surface it came by, and notes what the activity log is to know. A stream tells
 * its tokens always; who did not ask for them is not shown them.
 */
export async function runChat(call: Call, request: ChatRequest): Promise<ChatReply> {
  const { context, model, note } = call
  const { stream_options: _, ...rest } = request
  const asked = limitAnswer(model, { ...rest, model: model.namespace })
  const reply = await context.router.chat(model, asked, call)
  note.whole = reply.kind === 'whole'
  if (reply.kind === 'stream') return { kind: 'stream', chunks: observed(call, asked, reply.chunks) }
  count(call, asked, reply.completion.usage, () => saidIn(reply.completion))
  return reply
}

async function* observed(
  call: Call,
  request: ChatRequest,
  chunks: AsyncGenerator<ChatChunk, void>,
): AsyncGenerator<ChatChunk, void> {
  const { note } = call
  const said: string[] = []
  let usage: ChatUsage | undefined
  try {
    for await (const chunk of chunks) {
      call.firstByte()
      usage = chunk.usage ?? usage
      for (const { delta } of chunk.choices) gather(said, delta)
      yield chunk
    }
    note.whole = true
  } catch (error) {
    note.fault = asInferenceError(error)
    throw error
  } finally {
    count(call, request, usage, () => said.join(''))
  }
}

function gather(
  said: string[],
  { content, reasoning_content, refusal, tool_calls }: Partial<ChatChunk['choices'][0]['delta']>,
) {
  for (const text of [content, reasoning_content, refusal]) if (text) said.push(text)
  for (const { function: called } of tool_calls ?? []) said.push(called?.name ?? '', called?.arguments ?? '')
}

function saidIn({ choices }: ChatCompletion): string {
  const said: string[] = []
  for (const { message } of choices) {
    const { content, tool_calls: calls, ...rest } = message
    gather(said, {
      ...rest,
      content: typeof content === 'string' ? content : null,
      tool_calls: calls?.map((called, index) => ({ index, ...called })),
    })
  }
  return said.join('')
}

/** As the host counted; where it did not, they are counted here once the call is over. */
function count(
  { note }: Call,
  request: ChatRequest,
  usage: ChatUsage | null | undefined,
  said: () => string,
): void {
  if (usage) note.tokens = { input: usage.prompt_tokens, output: usage.completion_tokens, estimated: false }
  else {
    note.count = async () => ({
      input: await estimatePrompt(request),
      output: await countText(said()),
      estimated: true,
    })
  }
}
