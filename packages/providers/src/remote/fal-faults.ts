import type { Unavailability } from '../provider.ts'
import { type Answer, faultOf } from './ask-host.ts'
import { Failed, JobOver, Unavailable } from './faults.ts'
import { textIn } from './host-words.ts'
import { recordOf } from './read-answer.ts'

/** Why fal took no request: an answer to a submit with a status of 400, 404, 422 or 429. */
export function faultOfSubmit(answer: Answer, model: string): Error {
  if (answer.status === 404) return new Unavailable(`fal knows no model ${model}: ${textIn(answer.body)}`)
  return refusalIn(answer) ?? faultOf(answer)
}

/** How the work of a request ended, by an answer with the status of an error in place of its result. */
export function faultOfResult(answer: Answer): Error {
  const { status, headers } = answer
  const type = typeOf(answer)
  const said = textIn(answer.body) || `HTTP ${status}`
  const host = hosts.get(type)
  if (host !== undefined) return new JobOver(`fal answered ${type}: ${said}`, host)
  const again = isYes(headers['x-fal-needs-retry']) || isYes(headers['x-fal-retryable'])
  const refusal = refusalIn(answer)
  if (refusal && (!again || refusal.code === 'CONTENT_POLICY_VIOLATION')) return refusal
  if (type === 'client_cancelled') return new Failed(`The request was cancelled at fal: ${said}`)
  if (status < 500 && !again && status !== 408) return new Failed(said)
  // The door of fal says nothing of any request; what ran one does.
  const ofRequest = type !== '' || refusal !== undefined || again || headers['x-fal-request-id'] !== undefined
  return ofRequest
    ? new JobOver(`fal answered HTTP ${status}: ${said}`, { uncertain: true })
    : new Unavailable(`fal answered HTTP ${status}: ${said}`, { down: true })
}

/** What a model says of an input: a list of fields and what is wrong with each. */
function refusalIn({ body }: Answer): Failed | undefined {
  const { detail } = recordOf(body)
  if (!Array.isArray(detail) || detail.length === 0) return undefined
  const faults = detail.map(recordOf)
  const said = faults
    .map(({ loc, msg }) => `${fieldOf(loc)}${textIn(msg)}`)
    .join('; ')
    .slice(0, 500)
  const isPolicy = faults.some(({ type }) => type === 'content_policy_violation')
  return new Failed(said, isPolicy ? 'CONTENT_POLICY_VIOLATION' : 'MODEL_ERROR')
}

function fieldOf(loc: unknown): string {
  const path = Array.isArray(loc) ? loc.filter((part) => part !== 'body').join('.') : ''
  return path === '' ? '' : `${path}: `
}

function typeOf({ body, headers }: Answer): string {
  const { error_type: type } = recordOf(body)
  return String(type ?? headers['x-fal-error-type'] ?? '')
}

function isYes(header: unknown): boolean {
  return /^(1|true|yes)$/i.test(String(header))
}

/** `seen`: it was there before. */
export function unknownRequest(id: string, seen: boolean): Unavailable {
  const reason = `fal knows no request ${id}.`
  return seen ? new JobOver(reason, { uncertain: true }) : new Unavailable(reason, { uncertain: true })
}

/** What went wrong at fal and not in the model, and what that says of another try. */
const hosts: ReadonlyMap<string, Unavailability> = new Map(
  Object.entries({
    concurrent_requests_limit: { busy: true },
    request_timeout: { busy: true },
    startup_timeout: {},
    runner_scheduling_failure: { busy: true },
    runner_connection_refused: {},
    runner_connection_timeout: { uncertain: true },
    runner_connection_error: { uncertain: true },
    runner_disconnected: { uncertain: true },
    runner_incomplete_response: { uncertain: true },
    runner_server_error: { uncertain: true },
    client_disconnected: { uncertain: true },
    internal_error: { uncertain: true },
  }),
)
