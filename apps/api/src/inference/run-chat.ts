import type { ChatReply } from '@millrace/inference/backend'
import type { ChatChunk, ChatCompletion, ChatRequest, ChatUsage } from '@millrace/inference/chat'
import { estimatePrompt, type TextTally, tallyText } from '@millrace/inference/count-tokens'
import { askedLength, limitAnswer, mostTokens } from '@millrace/inference/limit-answer'
import type { TokenEstimate } from '../rates.ts'
import { holdFor } from './bill.ts'
import { type Note, noteFault, type QuietCall } from './infer.ts'

/**
 * Has a chat request answered, whichever surface it came by, and notes what the activity log is to know. A stream tells
 * its tokens always; who did not ask for them is not shown them.
 */
export async function runChat(call: QuietCall, request: ChatRequest): Promise<ChatReply> {
  const { context, model, note } = call
  const { stream_options: options, ...rest } = request
  const asked = limitAnswer(model, { ...rest, model: model.namespace })
  await call.takeTokens(() => estimateChat(request))
  await holdFor(call, asked, () => mostTokens(asked))
  const reply = await context.router.chat(model, asked, call)
  note.whole = reply.kind === 'whole'
  if (reply.kind === 'stream') {
    const withUsage = options?.include_usage === true
    return { kind: 'stream', chunks: observed(call, { ...asked, withUsage }, reply.chunks) }
  }
  const said = tallyText()
  if (gatherAll(said, reply.completion) || isCounted(reply.completion.usage)) note.said = true
  count(call, asked, reply.completion.usage, said)
  // What it costs is told with the answer.
  if (call.bill.isHeld) note.tokens ??= await note.count?.()
  return reply
}

function isCounted(usage: ChatUsage | null | undefined): boolean {
  return (usage?.completion_tokens ?? 0) > 0
}

/** The tokens of a request as far as they are known before it is answered: of the answer what is allowed, if that is said. */
export async function estimateChat(request: ChatRequest): Promise<TokenEstimate> {
  return { input: await estimatePrompt(request), output: Math.max(1, askedLength(request) ?? 1) }
}

async function* observed(
  call: QuietCall,
  { withUsage, ...request }: ChatRequest & { withUsage: boolean },
  chunks: AsyncGenerator<ChatChunk, void>,
): AsyncGenerator<ChatChunk, void> {
  const { note } = call
  const said = tallyText()
  let last: ChatChunk | undefined
  let usage: ChatUsage | undefined
  try {
    for await (const chunk of chunks) {
      call.firstByte()
      last = chunk
      usage = chunk.usage ?? usage
      if (usage) note.tokens = tokensOf(usage)
      for (const { delta } of chunk.choices) if (gather(said, delta)) note.said = true
      if (isCounted(usage)) note.said = true
      yield chunk
    }
    note.whole = true
    if (withUsage && !usage && last)
      yield { ...last, choices: [], usage: await estimated(call, request, said) }
  } catch (error) {
    noteFault(call, error)
    throw error
  } finally {
    if (!note.tokens) count(call, request, usage, said)
  }
}

/** Who asks a stream for its tokens gets them, whether the host counts or not. */
async function estimated({ note }: QuietCall, request: ChatRequest, said: TextTally): Promise<ChatUsage> {
  const [input, output] = [await estimatePrompt(request), await said.count()]
  note.tokens = { input, output, estimated: true }
  return { prompt_tokens: input, completion_tokens: output, total_tokens: input + output }
}

/** Adds what a part says; whether it says anything. */
function gather(
  said: TextTally,
  { content, reasoning_content, refusal, tool_calls, audio }: Partial<ChatChunk['choices'][0]['delta']>,
): boolean {
  const calls = (tool_calls ?? []).flatMap(({ function: called }) => [called?.name, called?.arguments])
  const texts = [content, reasoning_content, refusal, ...calls].filter((text) => text)
  for (const text of texts) said.add(text ?? '')
  return texts.length > 0 || (audio !== undefined && audio !== null)
}

function gatherAll(said: TextTally, { choices }: ChatCompletion): boolean {
  const spoken = choices.map(({ message: { content, tool_calls: calls, ...rest } }) =>
    gather(said, {
      ...rest,
      content: typeof content === 'string' ? content : null,
      tool_calls: calls?.map((called, index) => ({ index, ...called })),
    }),
  )
  return spoken.includes(true)
}

/** As the host counted; where it did not, they are counted here once the call is over. */
function count(
  { note }: QuietCall,
  request: ChatRequest,
  usage: ChatUsage | null | undefined,
  said: TextTally,
): void {
  if (usage) note.tokens = tokensOf(usage)
  else {
    note.count = async () => ({
      input: await estimatePrompt(request),
      output: await said.count(),
      estimated: true,
    })
  }
}

function tokensOf({
  prompt_tokens: input,
  completion_tokens: output,
}: ChatUsage): NonNullable<Note['tokens']> {
  return { input, output, estimated: false }
}
