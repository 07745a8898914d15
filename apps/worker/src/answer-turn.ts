import { type MadeResponse, metaOf } from '@millrace/activity/background-response'
import type { ChatReply } from '@millrace/inference/backend'
import type { ChatChunk, ChatRequest } from '@millrace/inference/chat'
import { estimatePrompt, type TextTally, tallyText, textsOf } from '@millrace/inference/count-tokens'
import { judgeChunks } from '@millrace/inference/judge-chunks'
import { limitAnswer } from '@millrace/inference/limit-answer'
import type { ResponseItem, ResponsesRequest } from '@millrace/inference/responses/request'
import { ResponseTeller } from '@millrace/inference/responses/response-teller'
import { toChatRequest } from '@millrace/inference/responses/to-chat-request'
import { partOf } from '@millrace/inference/responses/told-part'
import type { RouteCall, Router } from '@millrace/inference/route'
import type { SafetyFilter } from '@millrace/inference/safety'
import type { PredictionRow } from '@millrace/lifecycle/present'
import type { ModelDescription } from '@millrace/models/description'
import type { RunEvent } from '@millrace/providers/provider'
import { holdUntilJudged } from './hold-until-judged.ts'

/**
 * A turn of a conversation, answered for nobody who waits: text is told as it comes, all other parts when they are
 * whole. Answers what the response is made of; undefined where what it goes on from is gone.
 */
export async function answerTurn(asking: Asking, turn: Turn): Promise<MadeResponse | undefined> {
  const { router, model, call, safety } = asking
  const { request, previous, row } = turn
  if (!previous) return undefined
  const chat = toChatRequest({ ...request, model: model.namespace, stream: true }, previous)
  const asked = limitAnswer(model, chat, 'max_output_tokens')
  const said = tallyText()
  const reply = await router.chat(model, asked, call)
  const teller = new ResponseTeller(metaOf(row))
  teller.begin()
  const held = holdUntilJudged(asking)
  const tell = (events: ReturnType<ResponseTeller['read']>) => {
    for (const event of events) {
      const part = partOf(event)
      if (typeof part === 'string') held.tell({ kind: 'output', delta: part })
      else if (part) held.tell({ kind: 'item', item: part })
    }
  }
  const forbidden = new Set<number>()
  for await (const chunk of judgeChunks(tallied(reply, said), safety, call, { forbidden }))
    tell(teller.read(chunk))
  const ending = teller.end()
  tell(ending)
  const isForbidden = forbidden.size > 0
  held.judged(isForbidden)
  const last = ending.at(-1)
  if (!last || !('response' in last)) throw new Error('A response has no end.')
  const { status, output, usage, incomplete_details } = last.response
  if (!usage) await tellTokens(asking, asked, said)
  return {
    status: status === 'incomplete' ? status : 'completed',
    output: isForbidden ? [] : output,
    usage,
    incomplete_details,
  }
}

/** The chunks of an answer that was asked for as a stream, whose words are added to `said`. */
export async function* tallied(reply: ChatReply, said: TextTally): AsyncGenerator<ChatChunk, void> {
  if (reply.kind === 'whole') throw new Error('A host answered as a whole what was asked for as a stream.')
  for await (const chunk of reply.chunks) {
    for (const { delta } of chunk.choices) for (const text of textsOf(delta)) said.add(text)
    yield chunk
  }
}

/** What its host did not count is counted here, where it has a price by that. */
export async function tellTokens(
  { countsTokens, emit }: Asking,
  asked: ChatRequest,
  said: TextTally,
): Promise<void> {
  if (!countsTokens) return
  const usage = { input_tokens: await estimatePrompt(asked), output_tokens: await said.count() }
  emit({ kind: 'usage', usage })
}

/** Who is asked, and by whom. */
export interface Asking {
  router: Router
  safety: SafetyFilter
  model: ModelDescription
  call: RouteCall
  /** It is paid for by tokens. */
  countsTokens: boolean
  /** It was asked for as a stream. */
  streams: boolean
  emit(event: RunEvent): void
}

interface Turn {
  row: PredictionRow
  request: ResponsesRequest
  /** Undefined where it is gone. */
  previous: ResponseItem[] | undefined
}
