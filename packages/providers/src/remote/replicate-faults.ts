import { type Answer, faultOf } from './ask-host.ts'
import { Failed, JobOver, Unavailable } from './faults.ts'
import { textIn } from './host-words.ts'
import { recordOf } from './read-answer.ts'

/** Why Replicate made no prediction: an answer to a create with a status of 404, 422 or 429. */
export function refusal(answer: Answer, model: string): Error {
  const { title, invalid_fields: fields } = recordOf(answer.body)
  const said = textIn(answer.body)
  switch (answer.status) {
    case 404:
      // A model that is not one of the official ones runs by its version only.
      return new Unavailable(
        `Replicate knows no model ${model}: ${said}. Name its version: owner/name:version`,
      )
    case 422: {
      if (/version|permitted/i.test(String(title))) return new Unavailable(`Replicate answered: ${said}`)
      const named = Array.isArray(fields) ? fields.map(fieldText).filter(Boolean).join('; ') : ''
      return new Failed(`The model refused its input: ${named || said}`)
    }
    default: {
      const fault = faultOf(answer)
      const [, seconds] = /resets in ~?(\d+)\s?s/.exec(said) ?? []
      if (!(fault instanceof Unavailable) || seconds === undefined) return fault
      return new Unavailable(fault.message, { retryAfterSeconds: Number(seconds), ...fault.about })
    }
  }
}

function fieldText(value: unknown): string {
  const { field, description } = recordOf(value)
  return [field, description].filter((text) => typeof text === 'string').join(': ')
}

/** What is wrong with a prediction, undefined where nothing is or it has not ended. */
export function faultOfPrediction({ status, error, output, data_removed }: Ended): Error | undefined {
  const said = textIn(error).trim()
  switch (status) {
    case 'succeeded':
      return data_removed === true && (output === null || output === undefined)
        ? new JobOver('Replicate has removed the output already.', { uncertain: true })
        : undefined
    case 'failed':
      return faultOfFailure(said)
    case 'canceled':
      // By its owner, or by Replicate's limit on run times, where another try would end.
      return new Failed(`Replicate cancelled the prediction${said ? `: ${said}` : '.'}`)
    case 'aborted':
      return new JobOver('Replicate did not start the prediction in time.', { busy: true })
    default:
      return undefined
  }
}

function faultOfFailure(said: string): Error {
  const detail = said || 'The model failed without a word.'
  if (policy.test(said)) return new Failed(detail, 'CONTENT_POLICY_VIOLATION')
  // Its own codes in place of the model's words; it may have been anywhere in the work.
  return infrastructure.test(said)
    ? new JobOver(`Replicate answered: ${detail}`, { uncertain: true })
    : new Failed(detail)
}

/** `seen`: it was there before. */
export function unknownPrediction(id: string, seen: boolean): Unavailable {
  const reason = `Replicate knows no prediction ${id}.`
  return seen ? new JobOver(reason, { uncertain: true }) : new Unavailable(reason, { uncertain: true })
}

const policy =
  /\bnsfw\b|\bE005\b|flagged|content (policy|moderation)|safety (filter|system|checker)|sensitive content/i

/** Codes of https://replicate.com/docs/reference/error-codes that are not about the input, and an interrupted run. */
const infrastructure =
  /\((code: PA|E1000|E4875|E6716|E8367|E8765|E9243|E9825|E9828)\)|prediction interrupted/i

interface Ended {
  status: string
  error?: unknown
  output?: unknown
  data_removed?: unknown
}
