import { setTimeout as delay } from 'node:timers/promises'
import { isRecord } from '@millrace/models/is-record'
import { leavesJob } from '../provider.ts'
import { type Answer, createAskHost, type Question, retryAfter } from './ask-host.ts'
import { isOver, type Snapshot, snapshotIn } from './cog-snapshot.ts'
import type { Told } from './cog-told.ts'
import { Failed, Unavailable } from './faults.ts'
import { textIn } from './host-words.ts'
import type { Call } from './open-remote.ts'

/** The requests of one run at a container, and what its refusals mean. */
export function createCogHost({ settings, known, signal, timeoutMs }: Call<'cog'>, input: object): CogHost {
  const url = settings.url.replace(/\/+$/, '')
  const graceMs = Math.min(10_000, timeoutMs)
  // For what must come to its end when the run is cancelled: an asked-for prediction has to be there to be cancelled.
  const late = new AbortController()
  signal.addEventListener('abort', () => {
    if (leavesJob(signal)) late.abort(signal.reason)
    else setTimeout(() => late.abort(signal.reason), graceMs).unref()
  })
  const askLate = createAskHost({ signal: late.signal, timeoutMs })

  async function cancel(id: string): Promise<void> {
    const question = {
      url: `${url}/predictions/${encodeURIComponent(id)}/cancel`,
      method: 'POST',
      takes: [404],
    } as const
    const until = performance.now() + graceMs
    // Its slot is taken until the model has noticed. When the container knows of it no more, it has.
    for (let waitMs = 50; performance.now() < until; waitMs = Math.min(2 * waitMs, 1000)) {
      const answer = await askLate(question).catch(() => undefined)
      if (answer?.status === 404) host.atWork = undefined
      if ((answer && answer.status !== 200) || late.signal.aborted) return
      await delay(waitMs)
    }
  }

  /** Throws what the container refuses with. */
  async function read({
    status,
    headers,
    body,
  }: Pick<Answer, 'status' | 'headers' | 'body'>): Promise<Snapshot> {
    if (status >= 200 && status < 300) {
      const snapshot = snapshotIn(body)
      known.ready = true
      host.accepted = true
      if (isOver(snapshot)) host.atWork = undefined
      return snapshot
    }
    host.atWork = undefined
    if (status === 409) {
      known.ready = true
      throw new Unavailable('The container has no free slot.', { busy: true, ...later(headers) })
    }
    if (status === 503) throw await notReady(retryAfter(headers))
    throw new Failed(status === 422 ? refusedInput(body) : `The container answered HTTP ${status}.`)
  }

  async function notReady(retryAfterSeconds?: number): Promise<Unavailable> {
    const { body } = await askLate({ url: `${url}/health-check` }).catch(() => ({ body: undefined }))
    const { reason, ...about } = stateOf(body)
    return new Unavailable(reason, {
      ...about,
      ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
    })
  }

  const host: CogHost = {
    atWork: undefined,
    accepted: false,
    questionFor(id, headers = {}, callback = {}) {
      host.atWork = id
      return {
        url: `${url}/predictions/${encodeURIComponent(id)}`,
        method: 'PUT',
        headers,
        json: { id, input, ...callback },
        takes: refusals,
      }
    },
    read,
    async submit(id, webhook) {
      signal.throwIfAborted()
      const headers = { prefer: 'respond-async' }
      return read(await askLate(host.questionFor(id, headers, { webhook, webhook_events_filter: events })))
    },
    cancel,
    readySoon(told) {
      const timer = setTimeout(told.ready, refusesWithinMs)
      return () => clearTimeout(timer)
    },
  }
  return host
}

/** What `/health-check` says of a container that takes no predictions. */
function stateOf(body: unknown): State {
  const { status, setup, user_healthcheck_error: found } = isRecord(body) ? body : {}
  const logs = isRecord(setup) ? textIn(setup.logs) : ''
  switch (status) {
    case 'SETUP_FAILED':
      return {
        reason: `The container could not set its model up: ${lastLine(logs) || 'it does not say why'}`,
        down: true,
      }
    case 'DEFUNCT':
      return { reason: 'The container is defunct, and must be started again.', down: true }
    case 'UNHEALTHY':
      return { reason: `The container is not well: ${textIn(found) || 'it does not say why'}`, down: true }
    case 'UNKNOWN':
      return { reason: 'The container has no model.', down: true }
    case 'READY':
    case 'BUSY':
      return { reason: 'The container has only just become ready.', down: true, retryAfterSeconds: 1 }
    default:
      return { reason: 'The container is still setting its model up.', down: true, retryAfterSeconds: 5 }
  }
}

/** Names the fields: `text: Field required`. */
function refusedInput(body: unknown): string {
  const { detail } = isRecord(body) ? body : {}
  const faults = (Array.isArray(detail) ? detail : []).filter(isRecord).map(({ loc, msg }) => {
    const path = Array.isArray(loc) ? loc.filter((part) => part !== 'body' && part !== 'input').join('.') : ''
    return [path, textIn(msg)].filter(Boolean).join(': ')
  })
  return faults.join('; ').slice(0, 4000) || textIn(body) || 'The container refused the input.'
}

function later(headers: Answer['headers']): { retryAfterSeconds?: number } {
  const retryAfterSeconds = retryAfter(headers)
  return retryAfterSeconds === undefined ? {} : { retryAfterSeconds }
}

function lastLine(text: string): string {
  return text.split('\n').findLast((line) => line.trim() !== '') ?? ''
}

const refusals = [406, 409, 422, 503]

const events = ['start', 'output', 'logs', 'completed']

/** There is no queue: what is not refused at once is being done. */
const refusesWithinMs = 1000

type State = { reason: string; down: true; retryAfterSeconds?: number }

/** One run's view of its container. */
export interface CogHost {
  /** What may be in flight there. */
  atWork: string | undefined
  /** The container took it. */
  accepted: boolean
  /** A PUT of the run under this name. */
  questionFor(id: string, headers?: Record<string, string>, callback?: object): Question
  /** Throws what the container refused with. */
  read(answer: Pick<Answer, 'status' | 'headers' | 'body'>): Promise<Snapshot>
  /** In the background. */
  submit(id: string, webhook: string): Promise<Snapshot>
  /** Cancels it, and waits until the container knows of it no more, though not for ever. */
  cancel(id: string): Promise<void>
  /** Says `ready` when no refusal comes. Answers how to call that off. */
  readySoon(told: Told): () => void
}
