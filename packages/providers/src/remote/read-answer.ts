import { isRecord } from '@millrace/models/is-record'
import type { Answer } from './ask-host.ts'
import { Failed, Unavailable } from './faults.ts'
import { textIn } from './host-words.ts'

/** The members of an answer that ought to be a JSON object; none where it is something else. */
export function recordOf(value: unknown): Record<string, unknown> {
  return isRecord(value) ? value : {}
}

/** Whether a value can be a cloud's name of a job: it goes into paths. */
export function isId(value: unknown): value is string {
  return typeof value === 'string' && /^[\w-]{1,128}$/.test(value)
}

/** A job was asked for, and the answer is none that the host has. */
export function garbled({ body }: Answer, host: string): Failed {
  return new Failed(`The answer is not one of ${host}'s: ${textIn(body).slice(0, 100) || 'no text'}`)
}

/** So is the answer about a job that there is: somebody else has answered, and the host may do so in a moment. */
export function passing(answer: Answer, host: string): Unavailable {
  return new Unavailable(garbled(answer, host).message, { down: true })
}
