import type { ChatChoice, ChatChunk, ChunkChoice } from './chat.ts'
import { textsOf } from './count-tokens.ts'
import { isFiltered, type SafetyCall, type SafetyFilter, type Verdict } from './safety.ts'

/**
 * The same chunks, each answer judged as a whole before its end is told: what was handed on cannot be taken back, but an
 * answer that is forbidden ends with `content_filter`, and with nothing more. `forbidden` gets the places of those, and
 * `judged` hears what was found of each.
 */
export async function* judgeChunks(
  chunks: AsyncGenerator<ChatChunk, void>,
  safety: SafetyFilter,
  call: SafetyCall,
  { forbidden, judged }: Findings = {},
): AsyncGenerator<ChatChunk, void> {
  const said: string[] = []
  for await (const chunk of chunks) {
    for (const choice of safety.looks ? chunk.choices : []) {
      const { index } = choice
      said[index] = (said[index] ?? '') + textsOf(choice.delta).join('')
      if (choice.finish_reason === null) continue
      const verdict = await safety.completion(said[index] ?? '', call)
      judged?.(verdict, choice)
      if (!isFiltered(verdict)) continue
      forbidden?.add(index)
      choice.finish_reason = 'content_filter'
      choice.delta = {}
      choice.logprobs = null
    }
    yield chunk
  }
}

/** An answer whose message is forbidden. Probabilities spell the text out. */
export function silenced(choice: ChatChoice): ChatChoice {
  const message = { role: 'assistant' as const, content: null, refusal: null }
  return { ...choice, message, finish_reason: 'content_filter', logprobs: null }
}

/** Answers of which those at some places are forbidden. */
export function silencedAt(choices: readonly ChatChoice[], forbidden: ReadonlySet<number>): ChatChoice[] {
  return choices.map((choice) => (forbidden.has(choice.index) ? silenced(choice) : choice))
}

interface Findings {
  forbidden?: Set<number>
  judged?(verdict: Verdict, choice: ChunkChoice): void
}
