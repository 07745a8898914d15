import { type Answer, textIn } from './ask-host.ts'
import { Failed, Unavailable } from './faults.ts'

/** The members of an answer that ought to be a JSON object; none where it is something else. */
export function recordOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {}
}

/** A job was asked for, and the answer is none that the host has. */
export function garbled({ body }: Answer, host: string): Failed {
  return new Failed(`The answer is not one of ${host}'s: ${textIn(body).slice(0, 100) || 'no text'}`)
}

/** So is the answer about a job that there is: somebody else has answered, and the host may do so in a moment. */
export function passing(answer: Answer, host: string): Unavailable {
  return new Unavailable(garbled(answer, host).message, { down: true })
}
