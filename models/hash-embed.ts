import { createHash } from 'node:crypto'
import { defineModel } from '@millrace/models/define-model'
import { z } from 'zod'

export default defineModel({
  namespace: 'hash-embed',
  name: 'Hash embeddings',
  type: 'text',
  description:
    'Embeds texts by feature hashing: words and pairs of words, no training and no meaning beyond them. Texts that share ' +
    'words are near each other, which does for trying a search.',
  apis: ['embeddings'],
  capabilities: ['embeddings'],
  concurrency: 32,
  input: z.looseObject({ input: z.unknown().describe('A text, or a list of them') }),
  run({ input }) {
    const texts = Array.isArray(input) && typeof input[0] !== 'number' ? input : [input]
    const embedded = texts.map(embed)
    const tokens = embedded.reduce((sum, one) => sum + one.tokens, 0)
    return {
      vectors: embedded.map(({ vector }) => vector),
      usage: { prompt_tokens: tokens, total_tokens: tokens },
    }
  },
})

/** Of length 1, or all zeros for no words at all. Tokens are embedded like words. */
function embed(text: unknown): { vector: number[]; tokens: number } {
  const words = Array.isArray(text)
    ? text.map(String)
    : (String(text)
        .toLowerCase()
        .match(/[\p{L}\p{N}]+/gu) ?? [])
  const vector = new Array<number>(dimensions).fill(0)
  for (const [index, word] of words.entries()) {
    add(vector, word, 1)
    const next = words[index + 1]
    if (next !== undefined) add(vector, `${word} ${next}`, 0.5)
  }
  const length = Math.hypot(...vector)
  return { vector: length === 0 ? vector : vector.map((value) => value / length), tokens: words.length }
}

/** One half of a hash says where, one bit of the other with which sign. */
function add(vector: number[], feature: string, weight: number): void {
  const digest = createHash('md5').update(feature).digest()
  const at = digest.readUInt32LE(0) % dimensions
  vector[at] = (vector[at] ?? 0) + (digest.readUInt8(4) & 1 ? weight : -weight)
}

const dimensions = 384
