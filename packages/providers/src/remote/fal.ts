import type { Question } from './ask-host.ts'
import type { Bell } from './bell.ts'
import { type CarriedFile, carryFiles } from './carry-files.ts'
import { driveJob, type JobHost, mayReach } from './drive-job.ts'
import { faultOfResult, faultOfSubmit, unknownRequest } from './fal-faults.ts'
import { Failed } from './faults.ts'
import type { AnyCall, Call, Kind } from './open-remote.ts'
import { garbled, isId, passing, recordOf } from './read-answer.ts'
import { serverEvents } from './server-events.ts'
import { shapeOutput } from './shape-output.ts'
import { createTeller } from './teller.ts'

/**
 * fal's queue: a request is submitted and looked at until it is completed, which its webhook hastens, or else its
 * status stream; then its result is asked for, whose HTTP status says how the work ended.
 */
export const fal: Kind<'fal'> = {
  wants: 'addresses',
  async perform(call) {
    const { output } = await driveJob(call, falHost(call))
    return shapeOutput(output, call)
  },
}

function falHost(call: Call<'fal'>): JobHost<Ref, { output: unknown }> {
  const { settings, lasting, description } = call
  const base = settings.base_url.replace(/\/+$/, '')
  const teller = createTeller(call)
  const headers = { authorization: `Key ${settings.key}` }
  let seen = false
  let called = false

  /** Made here as fal's own client does: the key goes nowhere that an answer names. */
  const own = ({ request }: Ref, path: string, question: Omit<Question, 'url'> = {}): Question => ({
    ...question,
    url: `${base}/${appOf(settings.model)}/requests/${request}${path}`,
    headers,
  })

  async function upload({ bytes, name }: CarriedFile): Promise<string> {
    const json = { content_type: bytes.type || 'application/octet-stream', file_name: name }
    const url = `${uploadsOf(settings, base)}/storage/upload/initiate?storage_type=fal-cdn-v3`
    const { body: begun } = await call.ask({ url, method: 'POST', json, headers })
    const { upload_url: target, file_url: address } = recordOf(begun)
    if (typeof target !== 'string' || typeof address !== 'string' || !URL.canParse(target)) {
      throw new Failed('fal answered an upload without the URLs of the file')
    }
    const body = new Uint8Array(await bytes.arrayBuffer())
    const { guard } = call.rehost
    await call.ask({
      url: target,
      method: 'PUT',
      body,
      headers: { 'content-type': json.content_type },
      guard,
    })
    return address
  }

  async function result(ref: Ref): Promise<{ output: unknown }> {
    const answer = await call.ask(own(ref, '', { takes: endings }))
    const fault = answer.status >= 400 ? faultOfResult(answer) : undefined
    if (fault) throw fault
    if (answer.body !== undefined) return { output: answer.body }
    const [type = ''] = (answer.headers['content-type'] ?? '').split(';')
    return { output: [await call.rehost.save(answer.bytes, 'output', type)] }
  }

  return {
    known(job) {
      const id = job?.request
      seen = isId(id)
      return isId(id) ? { request: id } : undefined
    },

    async create() {
      const json = await carryFiles(call.input, description.input_schema, upload)
      const url = new URL(`${base}/${settings.model}`)
      called = call.callback !== undefined && mayReach(call.callback.url, base)
      if (called && call.callback) url.searchParams.set('fal_webhook', call.callback.url)
      const question = { url: url.href, method: 'POST', json, headers } as const
      const answer = await lasting({ ...question, takes: [400, 404, 422, 429] })
      if (answer.status >= 400) throw faultOfSubmit(answer, settings.model)
      const { request_id: id } = recordOf(answer.body)
      if (!isId(id)) throw garbled(answer, 'fal')
      return { request: id }
    },

    async look(ref) {
      const answer = await call.ask(own(ref, '/status?logs=1', { takes: [404] }))
      if (answer.status === 404) throw unknownRequest(ref.request, seen)
      const { status, logs, metrics } = recordOf(answer.body)
      if (typeof status !== 'string') throw passing(answer, 'fal')
      seen = true
      if (status !== 'IN_PROGRESS' && status !== 'COMPLETED') return undefined
      teller.begin()
      teller.log(linesOf(logs))
      const { inference_time: seconds } = recordOf(metrics)
      if (typeof seconds === 'number' && seconds >= 0) call.measured(seconds)
      return status === 'COMPLETED' ? result(ref) : undefined
    },

    async cancel(ref) {
      // What it answers is read by nobody: 400 and 404 say that there is nothing to cancel.
      await lasting(own(ref, '/cancel', { method: 'PUT', takes: [400, 404] }))
    },

    listen(ref, bell, signal) {
      if (!called) void followStatus(call, own(ref, '/status/stream?logs=1'), bell, signal)
    },
  }
}

async function followStatus({ ask }: AnyCall, question: Question, bell: Bell, signal: AbortSignal) {
  try {
    const headers = { ...question.headers, accept: 'text/event-stream' }
    for await (const _event of serverEvents(ask.stream({ ...question, headers, signal }))) bell.ring()
  } catch {
    // It is looked at all the same, if less soon.
  } finally {
    bell.live = false
  }
}

/** Follow-up URLs drop the path below the app: `owner/app`, one more part in the two namespaces. */
function appOf(model: string): string {
  const parts = model.split('/')
  return parts.slice(0, ['workflows', 'comfy'].includes(parts[0] ?? '') ? 3 : 2).join('/')
}

/** fal's files have a host of their own; whoever stands in for its queue stands in for that, too. */
function uploadsOf({ upload_url: stated }: Call<'fal'>['settings'], base: string): string {
  if (stated !== undefined) return stated.replace(/\/+$/, '')
  return new URL(base).hostname === 'queue.fal.run' ? 'https://rest.fal.ai' : base
}

function linesOf(logs: unknown): string {
  const lines = Array.isArray(logs) ? logs.map((line) => recordOf(line).message) : []
  return lines
    .filter((line) => typeof line === 'string')
    .map((line) => `${line.replace(/\n$/, '')}\n`)
    .join('')
}

/** Statuses that may be how the work ended, and not what fal's own door says of us. */
const endings = [400, 404, 405, 408, 409, 410, 413, 415, 422, 499, 500, 501, 502, 503, 504]

type Ref = { request: string }
