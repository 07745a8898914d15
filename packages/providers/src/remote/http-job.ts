import { fillTemplate, type Scope } from '@millrace/models/template'
import { type Job, leavesJob } from '../provider.ts'
import { retryAfter } from './ask-host.ts'
import { Unavailable } from './faults.ts'
import { createAnswerTeller, failureOf, type JobReading, type State, stateOf } from './http-answer.ts'
import { createInbox, type Inbox } from './http-inbox.ts'
import { jobUrl, questionOf } from './http-request.ts'
import type { Call } from './open-remote.ts'

/** Work that the host does as a job of its own: submitted or taken up, followed to its end, cancelled when nobody waits. */
export async function performJob(call: Call<'http'>, scope: Scope): Promise<unknown> {
  const inbox = createInbox(call.settings.callback && call.callback)
  try {
    const taken = call.job?.answer
    const job = taken === undefined ? await submit(call, scope) : taken
    return await follow(call, { ...scope, job }, { inbox, isTaken: taken !== undefined })
  } catch (error) {
    if (!(error instanceof Gone)) throw error
    // The host knows nothing of the job that an earlier attempt left there.
    if (call.description.rerun === 'never') throw new Unavailable(error.message, { uncertain: true })
    return await follow(call, { ...scope, job: await submit(call, scope) }, { inbox, isTaken: false })
  } finally {
    inbox.close()
  }
}

/** Not cut short by the signal: a job whose name never arrived could be neither cancelled nor taken up. */
async function submit(call: Call<'http'>, scope: Scope): Promise<unknown> {
  const { settings, signal, lasting, keep } = call
  signal.throwIfAborted()
  const { body } = await lasting(questionOf({ settings, scope }))
  const failure = failureOf(settings.response, { ...scope, body })
  if (failure) throw failure
  const job = shortened(body)
  // Without an address to ask at, the next attempt could do nothing with it.
  if (settings.poll) {
    jobUrl(settings.poll.url, { ...scope, job }, settings.url)
    try {
      await keep?.({ answer: job } satisfies Job)
    } catch (cause) {
      await cancel(call, { ...scope, job })
      signal.throwIfAborted()
      throw new Unavailable('The job could not be noted.', {}, cause)
    }
  }
  return job
}

async function follow(call: Call<'http'>, scope: Scope, { inbox, isTaken }: Following): Promise<unknown> {
  try {
    return await outcomeOf(call, scope, { inbox, isTaken })
  } catch (error) {
    if (call.signal.aborted && !leavesJob(call.signal)) await cancel(call, scope)
    throw error
  }
}

/** Asks more and more slowly; where the host reports by itself, only in case that its report is lost. */
async function outcomeOf(call: Call<'http'>, scope: Scope, { inbox, isTaken }: Following): Promise<unknown> {
  const { poll, callback } = call.settings
  let begun = false
  const begin = () => {
    if (!begun) call.emit({ kind: 'ready' })
    begun = true
  }
  const polled = poll && createReading(call, poll, scope, begin)
  const posted = callback && createReading(call, callback, scope, begin)
  const stated = poll?.every_seconds ?? 0
  const every = inbox.isOpen ? Math.max(stated, reportedSeconds) : stated
  let faults = 0
  // What ended while nobody listened is asked for at once.
  let wait = isTaken ? 0 : every

  for (;;) {
    const report = await inbox.next(poll ? wait : undefined, call.signal)
    if (report && posted) {
      const state = posted(report.body)
      if (state.kind === 'succeeded') return state.output
      continue
    }
    const answer = await pollOnce(call, scope, isTaken && !begun).catch((error: unknown) => {
      faults += 1
      if (!(error instanceof Unavailable) || faults > patience) throw error
      return { after: error.about.retryAfterSeconds }
    })
    if ('body' in answer && polled) {
      faults = 0
      const state = polled(answer.body)
      if (state.kind === 'succeeded') return state.output
    }
    wait = answer.after ?? Math.min(Math.max(wait, every) * growth, every * slowest)
  }
}

/** Reads one answer after the other, and tells what each says of the run. Throws the failure of the job. */
function createReading({ emit }: Call<'http'>, reading: JobReading, scope: Scope, begin: () => void) {
  const tell = createAnswerTeller(reading, emit)
  return (body: unknown): State => {
    const at = { ...scope, body }
    const state = stateOf(reading, at)
    if (state.kind !== 'waiting') begin()
    tell(at)
    if (state.kind === 'failed') throw state.fault
    return state
  }
}

async function pollOnce(
  { settings, ask }: Call<'http'>,
  scope: Scope,
  mayBeGone: boolean,
): Promise<{ body: unknown; after: number | undefined }> {
  const url = jobUrl(settings.poll?.url ?? '', scope, settings.url)
  const takes = mayBeGone ? [404, 410] : []
  const { status, body, headers } = await ask({ url, headers: settings.headers, takes })
  if (takes.includes(status)) throw new Gone('The host knows nothing any more of the job that it was given.')
  return { body, after: retryAfter(headers) }
}

/** As well as it can be: a host that does not hear of it finishes what nobody wants. */
async function cancel({ settings, lasting }: Call<'http'>, scope: Scope): Promise<void> {
  const how = settings.poll?.cancel
  if (!how) return
  const body = how.request === undefined ? {} : { json: fillTemplate(how.request, scope) }
  try {
    const url = jobUrl(how.url, scope, settings.url)
    await lasting({ url, method: how.method, headers: settings.headers, ...body })
  } catch {
    // There is nobody left to tell.
  }
}

/** The answer to a submit as far as it can be stored with the attempt; of a large one its short fields. */
function shortened(answer: unknown): unknown {
  if (Buffer.byteLength(JSON.stringify(answer) ?? '') <= maxJobBytes) return answer
  if (typeof answer !== 'object' || answer === null) return undefined
  const short: Record<string, unknown> = {}
  let bytes = 2
  for (const [key, value] of Object.entries(answer)) {
    const size = Buffer.byteLength(JSON.stringify({ [key]: value }))
    if (typeof value === 'object' || size > 600 || bytes + size > maxJobBytes) continue
    short[key] = value
    bytes += size
  }
  return short
}

/** A job that was taken up and that its host does not know. */
class Gone extends Error {}

const maxJobBytes = 3500

const growth = 1.15

/** Times `every_seconds`. */
const slowest = 5

/** Polls that fail one after the other before the run does. */
const patience = 5

/** Where a report is waited for. */
const reportedSeconds = 30

interface Following {
  inbox: Inbox
  /** The job was begun by an earlier attempt. */
  isTaken: boolean
}
