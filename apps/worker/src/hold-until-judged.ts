import type { RunEvent } from '@millrace/providers/provider'
import type { Asking } from './answer-turn.ts'

/**
 * Where what is said goes: on at once; or, where the safety filter looks and nobody asked for a stream, once it was
 * judged, and nowhere if it is forbidden.
 */
export function holdUntilJudged({
  emit,
  safety,
  streams,
}: Pick<Asking, 'emit' | 'safety' | 'streams'>): HeldEvents {
  if (streams || !safety.looks) return { tell: emit, judged() {} }
  const held: RunEvent[] = []
  return {
    tell: (event) => void held.push(event),
    judged(isForbidden) {
      if (!isForbidden) for (const event of held) emit(event)
    },
  }
}

interface HeldEvents {
  tell(event: RunEvent): void
  judged(isForbidden: boolean): void
}
