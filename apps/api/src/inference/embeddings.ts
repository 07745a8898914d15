import type { CreateEmbeddings, Embeddings as EmbeddingsAnswer } from '@millrace/contract/chat'
import { endpoints } from '@millrace/contract/endpoints'
import { estimateInput, guessText } from '@millrace/inference/count-tokens'
import type { Embeddings, EmbeddingsRequest } from '@millrace/inference/embeddings'
import { InferenceFault } from '@millrace/inference/fault'
import type { TokenEstimate } from '../rates.ts'
import { route } from '../route.ts'
import { holdFor } from './bill.ts'
import { checkInput } from './check-safety.ts'
import { infer, type QuietCall } from './infer.ts'

export const createEmbeddings = route(endpoints.createEmbeddings, (incoming) => {
  const { body } = incoming
  return infer(incoming, { surface: 'embeddings', slug: body.model, stream: false }, (call) =>
    embed(call, body),
  )
})

/** Answers texts with vectors. */
export async function embed(call: QuietCall, body: CreateEmbeddings): Promise<EmbeddingsAnswer> {
  const { encoding_format: format, dimensions, ...request } = body
  const asked = { ...request, model: call.model.namespace } as EmbeddingsRequest
  await checkInput(call, asked.input)
  await call.takeTokens(() => estimateEmbeddings(asked))
  await holdFor(call, asked, () => guessEmbeddings(asked))
  const { vectors, usage: counted } = await call.context.router.embed(call.model, asked, call)
  call.note.whole = true
  call.note.said = true
  const usage = counted ?? (await estimate(asked))
  call.note.tokens = { input: usage.prompt_tokens, output: 0, estimated: counted === undefined }
  return {
    object: 'list' as const,
    data: vectors.map((vector, index) => {
      const shown = dimensions == null ? vector : shortened(vector, dimensions)
      return {
        object: 'embedding' as const,
        index,
        embedding: format === 'base64' ? inBase64(shown) : shown,
      }
    }),
    model: call.slug,
    usage,
  }
}

/** The tokens of a request before it is answered. */
export async function estimateEmbeddings(request: Pick<EmbeddingsRequest, 'input'>): Promise<TokenEstimate> {
  return { input: (await estimate(request)).prompt_tokens, output: 0 }
}

async function estimate({
  input,
}: Pick<EmbeddingsRequest, 'input'>): Promise<NonNullable<Embeddings['usage']>> {
  const tokens = await estimateInput(input)
  return { prompt_tokens: tokens, total_tokens: tokens }
}

/** About as many tokens as there are at most. */
export function guessEmbeddings({ input }: Pick<EmbeddingsRequest, 'input'>): TokenEstimate {
  const parts = [input].flat(2)
  const texts = parts.filter((part) => typeof part === 'string')
  return { input: guessText(texts) + parts.length - texts.length, output: 0 }
}

/** The first `dimensions` of a vector, of length 1 again. */
function shortened(vector: number[], dimensions: number): number[] {
  if (dimensions > vector.length) {
    throw new InferenceFault(
      'INVALID_PARAMETER',
      `dimensions must be at most ${vector.length} for this model.`,
      {
        param: 'dimensions',
      },
    )
  }
  const cut = vector.slice(0, dimensions)
  const length = Math.hypot(...cut)
  return length === 0 ? cut : cut.map((value) => value / length)
}

/** Little-endian 32-bit floats. */
function inBase64(vector: number[]): string {
  const bytes = Buffer.alloc(vector.length * 4)
  for (const [index, value] of vector.entries()) bytes.writeFloatLE(value, index * 4)
  return bytes.toString('base64')
}
