import { nextAttempt } from '@millrace/webhooks/schedule'
import type { Answer } from './post.ts'

/**
 * What an answer means for its delivery: any 2xx is success, 410 ends the target, all else waits for its next attempt.
 * `made` are the attempts made, this one among them: the step of the schedule.
 */
export function judge(made: number, answer: Answer): Verdict {
  if (answer.kind === 'answered') {
    if (answer.statusCode >= 200 && answer.statusCode < 300) return { state: 'delivered' }
    if (answer.statusCode === 410) return { state: 'dropped', gone: true }
  }
  const waitSeconds = nextAttempt(made, { retryAfterSeconds: retryAfterOf(answer) })
  return waitSeconds === undefined ? { state: 'exhausted' } : { state: 'due', waitSeconds }
}

/** What the owner reads about an attempt that failed. */
export function errorOf(answer: Answer): string | null {
  if (answer.kind !== 'answered') return answer.error
  const { statusCode } = answer
  if (statusCode >= 200 && statusCode < 300) return null
  if (statusCode >= 300 && statusCode < 400) return `HTTP ${statusCode}: redirects are not followed`
  return `HTTP ${statusCode}`
}

function retryAfterOf(answer: Answer): number | undefined {
  if (answer.kind !== 'answered') return undefined
  return answer.statusCode === 429 || answer.statusCode === 503 ? answer.retryAfterSeconds : undefined
}

export type Verdict =
  | { state: 'delivered' }
  | { state: 'dropped'; gone: boolean }
  /** `untried`: it was claimed, and no request was made. */
  | { state: 'due'; waitSeconds: number; untried?: boolean }
  | { state: 'exhausted' }
