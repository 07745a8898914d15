import { assemble } from '@millrace/inference/assemble'
import type { ChatChunk, ChatRequest } from '@millrace/inference/chat'
import type { EmbeddingsRequest } from '@millrace/inference/embeddings'
import { judgeChunks } from '@millrace/inference/judge-chunks'
import { limitAnswer } from '@millrace/inference/limit-answer'
import { type Asking, chunksIn } from './answer-turn.ts'

/** A call to `/v1/run` that nobody waits for: what a chat model or a model of embeddings makes of its inputs. */
export async function answerCall(asking: Asking, input: Record<string, unknown>): Promise<unknown> {
  const { model, router, call } = asking
  if (!model.apis.includes('embeddings')) return answerChat(asking, input)
  const request = { ...input, model: model.namespace } as EmbeddingsRequest
  const { vectors, usage } = await router.embed(model, request, call)
  const data = vectors.map((embedding, index) => ({ object: 'embedding', index, embedding }))
  return { object: 'list', data, ...(usage ? { usage } : {}) }
}

async function answerChat({ model, router, safety, call, emit }: Asking, input: Record<string, unknown>) {
  const request = { ...input, model: model.namespace, stream: true } as unknown as ChatRequest
  const reply = await router.chat(model, limitAnswer(model, request), call)
  const completion = await assemble(heard(judgeChunks(chunksIn(reply), safety, call)))
  if (!completion) throw new Error('A stream had no answer in it.')
  const { choices, usage } = completion
  return { choices, ...(usage ? { usage } : {}) }

  async function* heard(chunks: AsyncGenerator<ChatChunk, void>): AsyncGenerator<ChatChunk, void> {
    for await (const chunk of chunks) {
      const { content } = chunk.choices.find(({ index }) => index === 0)?.delta ?? {}
      if (content) emit({ kind: 'output', delta: content })
      yield chunk
    }
  }
}
