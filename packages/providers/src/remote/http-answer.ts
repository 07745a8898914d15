import type { SettingsOf } from '@millrace/models/provider-settings'
import { fillTemplate, type Scope } from '@millrace/models/template'
import type { RunEvent } from '../provider.ts'
import { Failed } from './faults.ts'
import { isPolicy, textIn } from './host-words.ts'
import { createLogNews } from './job-log.ts'

/** How far a job is, by an answer of its host. */
export function stateOf(reading: JobReading, scope: Scope): State {
  if (reading.status === undefined) return stateByFruit(reading, scope)
  const said = firstOf(fillTemplate(reading.status, scope))
  if (isIn(said, reading.failed, failedWords))
    return { kind: 'failed', fault: failureOf(reading, scope) ?? failedWith(scope.body) }
  if (isIn(said, reading.succeeded, succeededWords))
    return { kind: 'succeeded', output: outputOf(reading, scope) }
  if (said === '' && (typeof scope.body !== 'object' || scope.body === null))
    throw new Failed("The host's answer about its job cannot be read.", 'INVALID_OUTPUT')
  return { kind: isIn(said, reading.waiting, waitingWords) ? 'waiting' : 'running' }
}

function stateByFruit(reading: JobReading, scope: Scope): State {
  const fault = failureOf(reading, scope)
  if (fault) return { kind: 'failed', fault }
  const output = reading.output === undefined ? undefined : fillTemplate(reading.output, scope)
  return isThere(output) ? { kind: 'succeeded', output } : { kind: 'running' }
}

/** The output of an answer that is all there will be. */
export function outputOf(reading: Reading, scope: Scope): unknown {
  const output = reading.output === undefined ? scope.body : fillTemplate(reading.output, scope)
  const nothing = reading.output === undefined ? output === '' : isEmptySearch(reading.output, output)
  if (output === undefined || output === null || nothing)
    throw new Failed("The host's answer holds no output.", 'INVALID_OUTPUT')
  return output
}

/** A list that is empty is an output; one that `[*]` made of an answer of another shape is none. */
function isEmptySearch(template: unknown, output: unknown): boolean {
  return (
    typeof template === 'string' && template.includes('*') && Array.isArray(output) && output.length === 0
  )
}

/** What an answer says went wrong, or nothing. */
export function failureOf({ error }: Reading, scope: Scope): Failed | undefined {
  const said = error === undefined ? undefined : fillTemplate(error, scope)
  return isThere(said) && said !== false ? failedWith(said) : undefined
}

function failedWith(said: unknown): Failed {
  const detail = textIn(said) || 'The host says that the model failed.'
  return new Failed(detail, isPolicy(said) ? 'CONTENT_POLICY_VIOLATION' : 'MODEL_ERROR')
}

/** Tells what answers say beside the output. Hosts repeat the whole log each time: only what is new is told. */
export function createAnswerTeller(
  reading: Reading,
  emit: (event: RunEvent) => void,
): (scope: Scope) => void {
  const newsOf = createLogNews()
  return (scope) => {
    const progress = reading.progress === undefined ? undefined : fillTemplate(reading.progress, scope)
    const at = Number.parseFloat(firstOf(progress))
    if (Number.isFinite(at)) emit({ kind: 'progress', percent: (at / reading.progress_of) * 100 })
    const logs = logOf(reading.logs === undefined ? undefined : fillTemplate(reading.logs, scope))
    // An answer that says nothing of logs does not say that there are none.
    const news = logs === '' ? '' : newsOf(logs)
    if (news !== '') emit({ kind: 'log', text: news })
  }
}

/** A text, or a list of lines that are texts or objects with a message. */
function logOf(logs: unknown): string {
  if (Array.isArray(logs))
    return logs.map((line) => `${typeof line === 'string' ? line : textIn(line)}\n`).join('')
  return typeof logs === 'string' ? logs : textIn(logs)
}

/** A path with `[*]` gives a list also where there is one. */
function firstOf(value: unknown): string {
  const first: unknown = Array.isArray(value) ? value[0] : value
  return typeof first === 'string' || typeof first === 'number' || typeof first === 'boolean'
    ? String(first)
    : ''
}

function isIn(said: string, stated: string[] | undefined, usual: ReadonlySet<string>): boolean {
  return stated ? stated.includes(said) : usual.has(said.toLowerCase())
}

function isThere(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0
  return value !== undefined && value !== null && value !== ''
}

const waitingWords = new Set([
  'queued',
  'in_queue',
  'pending',
  'waiting',
  'starting',
  'submitted',
  'created',
  'accepted',
])
const succeededWords = new Set(['succeeded', 'success', 'completed', 'complete', 'done', 'finished', 'ok'])
const failedWords = new Set([
  'failed',
  'failure',
  'error',
  'canceled',
  'cancelled',
  'aborted',
  'expired',
  'timed_out',
])

export type State =
  | { kind: 'waiting' | 'running' }
  | { kind: 'succeeded'; output: unknown }
  | { kind: 'failed'; fault: Failed }

export type JobReading = NonNullable<SettingsOf<'http'>['callback']>

type Reading = Pick<JobReading, 'output' | 'error' | 'progress' | 'progress_of' | 'logs'>
