import type { Question } from './ask-host.ts'
import type { Bell } from './bell.ts'
import { type CarriedFile, carryFiles } from './carry-files.ts'
import { driveJob, type JobHost, mayReach } from './drive-job.ts'
import { Failed } from './faults.ts'
import type { AnyCall, Call, Kind } from './open-remote.ts'
import { garbled, isId, passing, recordOf } from './read-answer.ts'
import { faultOfPrediction, refusal, unknownPrediction } from './replicate-faults.ts'
import { serverEvents } from './server-events.ts'
import { shapeOutput } from './shape-output.ts'
import { createTeller, type Teller } from './teller.ts'

/**
 * Replicate's HTTP API. A prediction is made without waiting for it in the same call, since its id has to be kept
 * first; then it is looked at until it has ended, which its webhook and its stream hasten.
 */
export const replicate: Kind<'replicate'> = {
  wants: 'addresses',
  async perform(call) {
    const { output } = await driveJob(call, replicateHost(call))
    return shapeOutput(output, call)
  },
}

function replicateHost(call: Call<'replicate'>): JobHost<Ref, { output: unknown }> {
  const { settings, lasting, description } = call
  const base = settings.base_url.replace(/\/+$/, '')
  const teller = createTeller(call)
  // What was made just now may be unknown for a moment; what was seen once is gone when it is.
  let seen = false
  let hear: ((url: string) => void) | undefined

  /** The token goes to addresses below `base` only: those that an answer calls the prediction's own are not used. */
  const own = (path: string, question: Omit<Question, 'url'> = {}): Question => ({
    ...question,
    url: `${base}${path}`,
    headers: { authorization: `Bearer ${settings.token}` },
  })

  async function upload({ bytes, name }: CarriedFile): Promise<string> {
    const body = new FormData()
    body.append('content', bytes, name)
    const answer = await call.ask(own('/files', { method: 'POST', body }))
    const { get } = recordOf(recordOf(answer.body).urls)
    if (typeof get !== 'string') throw new Failed('Replicate answered an upload without the URL of the file')
    return get
  }

  return {
    known(job) {
      const id = job?.prediction
      seen = isId(id)
      return isId(id) ? { prediction: id } : undefined
    },

    async create() {
      const input = await carryFiles(call.input, description.input_schema, upload)
      const { path, ...version } = routeOf(settings.model)
      const json = { ...version, input, ...webhookOf(call, base) }
      const answer = await lasting(own(path, { method: 'POST', json, takes: [404, 422, 429] }))
      if (answer.status >= 400) throw refusal(answer, settings.model)
      const { id } = recordOf(answer.body)
      if (!isId(id)) throw garbled(answer, 'Replicate')
      return { prediction: id }
    },

    async look({ prediction: id }) {
      const answer = await call.ask(own(`/predictions/${id}`, { takes: [404] }))
      if (answer.status === 404) throw unknownPrediction(id, seen)
      const { status, output, logs, urls, metrics, ...rest } = recordOf(answer.body)
      if (typeof status !== 'string') throw passing(answer, 'Replicate')
      seen = true
      if (status !== 'starting' && status !== 'aborted') {
        teller.begin()
        teller.log(logs)
      }
      const fault = faultOfPrediction({ status, output, ...rest })
      if (fault) throw fault
      if (status === 'succeeded') {
        teller.end(output)
        call.emit({ kind: 'usage', usage: recordOf(metrics) })
        const { predict_time: seconds } = recordOf(metrics)
        if (typeof seconds === 'number' && seconds >= 0) call.measured(seconds)
        return { output }
      }
      const { stream } = recordOf(urls)
      if (typeof stream === 'string' && isTheirs(stream, base)) hear?.(stream)
      hear = undefined
      return undefined
    },

    async cancel({ prediction: id }) {
      await lasting(own(`/predictions/${id}/cancel`, { method: 'POST' }))
    },

    listen(_ref, bell, signal) {
      hear = (url) => void followStream(call, url, { bell, signal, teller })
    },
  }
}

/** The stream carries its own credential in its address, and is given no other. */
async function followStream(
  { ask }: AnyCall,
  url: string,
  { bell, signal, teller }: Following,
): Promise<void> {
  try {
    const headers = { accept: 'text/event-stream' }
    for await (const { event, data } of serverEvents(ask.stream({ url, headers, signal }))) {
      if (event === 'output') teller.say(data)
      else bell.ring()
      if (event === 'done' || event === 'error') return
    }
  } catch {
    // What it would have told is in the prediction, too.
  } finally {
    bell.live = false
  }
}

/** Official models have a route of their own; a version of any model has the common one. */
function routeOf(model: string): { path: string; version?: string } {
  const [name = '', version] = model.split(':')
  if (version !== undefined) return { path: '/predictions', version }
  if (/^[0-9a-f]{64}$/.test(model)) return { path: '/predictions', version: model }
  return { path: `/${name.startsWith('deployments/') ? name : `models/${name}`}/predictions` }
}

function webhookOf({ callback }: AnyCall, base: string) {
  if (!callback || !mayReach(callback.url, base)) return {}
  return { webhook: callback.url, webhook_events_filter: ['start', 'logs', 'completed'] }
}

function isTheirs(url: string, base: string): boolean {
  const { origin, protocol, hostname } = URL.parse(url) ?? {}
  if (origin === undefined) return false
  return (
    origin === new URL(base).origin ||
    (protocol === 'https:' && /\.replicate\.(com|delivery)$/.test(`.${hostname}`))
  )
}

type Ref = { prediction: string }

interface Following {
  bell: Bell
  signal: AbortSignal
  teller: Teller
}
