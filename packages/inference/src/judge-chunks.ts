import type { ChatChunk } from './chat.ts'
import { isFiltered, type SafetyCall, type SafetyFilter, type Verdict } from './safety.ts'

/**
 * The same chunks, judged as a whole before their end is told: what was handed on cannot be taken back, but an answer
 * that is forbidden ends with `content_filter`. `judged` hears what was found.
 */
export async function* judgeChunks(
  chunks: AsyncGenerator<ChatChunk, void>,
  safety: SafetyFilter,
  call: SafetyCall,
  judged: (verdict: Verdict) => void = () => {},
): AsyncGenerator<ChatChunk, void> {
  let said = ''
  for await (const chunk of chunks) {
    const [choice] = safety.looks ? chunk.choices : []
    said += choice?.delta.content ?? ''
    if (choice && choice.finish_reason !== null) {
      const verdict = await safety.completion(said, call)
      judged(verdict)
      if (isFiltered(verdict)) choice.finish_reason = 'content_filter'
    }
    yield chunk
  }
}
