import { assemble } from '@millrace/inference/assemble'
import type { ChatChunk, ChatRequest } from '@millrace/inference/chat'
import { estimateInput, tallyText } from '@millrace/inference/count-tokens'
import type { EmbeddingsRequest } from '@millrace/inference/embeddings'
import { judgeChunks, silencedAt } from '@millrace/inference/judge-chunks'
import { limitAnswer } from '@millrace/inference/limit-answer'
import { type Asking, tallied, tellTokens } from './answer-turn.ts'
import { holdUntilJudged } from './hold-until-judged.ts'

/** A call to `/v1/run` that nobody waits for: what a chat model or a model of embeddings makes of its inputs. */
export async function answerCall(asking: Asking, input: Record<string, unknown>): Promise<unknown> {
  const { model, router, call, emit, countsTokens } = asking
  if (!model.apis.includes('embeddings')) return answerChat(asking, input)
  const request = { ...input, model: model.namespace } as EmbeddingsRequest
  const { vectors, usage } = await router.embed(model, request, call)
  if (!usage && countsTokens) {
    emit({ kind: 'usage', usage: { input_tokens: await estimateInput(request.input), output_tokens: 0 } })
  }
  const data = vectors.map((embedding, index) => ({ object: 'embedding', index, embedding }))
  return { object: 'list', data, ...(usage ? { usage } : {}) }
}

async function answerChat(asking: Asking, input: Record<string, unknown>) {
  const { model, router, safety, call } = asking
  const request = { ...input, model: model.namespace, stream: true } as unknown as ChatRequest
  const asked = limitAnswer(model, request)
  const said = tallyText()
  const reply = await router.chat(model, asked, call)
  const held = holdUntilJudged(asking)
  const forbidden = new Set<number>()
  const completion = await assemble(heard(judgeChunks(tallied(reply, said), safety, call, { forbidden })))
  if (!completion) throw new Error('A stream had no answer in it.')
  held.judged(forbidden.has(0))
  const { usage } = completion
  const choices = silencedAt(completion.choices, forbidden)
  if (!usage) await tellTokens(asking, asked, said)
  return { choices, ...(usage ? { usage } : {}) }

  async function* heard(chunks: AsyncGenerator<ChatChunk, void>): AsyncGenerator<ChatChunk, void> {
    for await (const chunk of chunks) {
      const { content } = chunk.choices.find(({ index }) => index === 0)?.delta ?? {}
      if (content) held.tell({ kind: 'output', delta: content })
      yield chunk
    }
  }
}
