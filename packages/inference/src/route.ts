import type { Aim, HostWatch } from '@millrace/hosts/host-watch'
import { variableOf } from '@millrace/models/config'
import type { ModelDescription } from '@millrace/models/description'
import type { Backend, ChatReply } from './backend.ts'
import type { ChatRequest } from './chat.ts'
import { createDeadlines, type Deadlines } from './deadlines.ts'
import type { Embeddings, EmbeddingsRequest } from './embeddings.ts'
import { InferenceFault } from './fault.ts'
import { holdStream } from './hold-stream.ts'
import { createHostsOf, type Host, type Surface } from './hosts-of.ts'
import { patienceMs, pauseBefore } from './pause-before.ts'
import { createPlaces } from './places.ts'
import type { RouteReport } from './route-report.ts'
import { type Perform, tryHost } from './try-host.ts'
import { createUpstreamAgent } from './upstream-agent.ts'

/**
 * The way of a request to a host that answers it. Of a model's hosts, those are asked that are not left alone, the least
 * busy one first; as long as nothing was said to the client, another host, the same one a little later and then the
 * model's fallbacks stand in for one that fails. All it throws is InferenceFault, or the reason of the call's signal.
 */
export function createRouter({ watch, describe, openOther, variable = variableOf }: RouterOptions): Router {
  const agent = createUpstreamAgent()
  const places = createPlaces()
  const hostsOf = createHostsOf({ agent, places, variable, openOther })

  async function route<T>(asked: ModelDescription, way: Way<T>): Promise<T> {
    const deadlines = createDeadlines(way.call.signal, asked.timeouts.run * 1000)
    let isLasting = false
    const kept = {
      ...way,
      deadlines,
      lasts: () => {
        isLasting = true
      },
    }
    try {
      let fault = await askModel(asked, kept)
      for (const name of way.call.allowFallbacks === false ? [] : asked.fallbacks) {
        if (!(fault instanceof InferenceFault)) break
        const next = describe(name)
        const reason = whyNot(asked, next, way)
        if (next && reason === undefined) fault = await askModel(next, kept)
        else way.call.report.passedOver.push({ model: name, reason: reason ?? '' })
      }
      if (fault instanceof InferenceFault) throw fault
      return fault.answer
    } finally {
      if (!isLasting) deadlines.end()
    }
  }

  /** What one model makes of it: its answer, or the fault for which another may stand in. Throws all others. */
  async function askModel<T>(model: ModelDescription, way: KeptWay<T>): Promise<Won<T> | InferenceFault> {
    const hosts = orFault(() => hostsOf(model, way.surface))
    if (hosts instanceof InferenceFault) return hosts
    const { deadlines, call } = way
    let fault: InferenceFault | undefined
    let fresh = [...hosts]
    let patient = [...hosts]
    for (let retry = 0; retry <= model.retries; retry += 1) {
      let aimed = await aimAt(fresh, deadlines)
      if (!aimed && retry > 0 && patient.length > 0) {
        await pauseBefore(retry, { askedMs: msOf(fault), signal: deadlines.signal })
        aimed = await aimAt(patient, deadlines)
      }
      if (!aimed) break
      const { host, aim } = aimed
      const trial = { host, aim, model: model.namespace, watch, deadlines, report: call.report }
      const time = { requestId: call.requestId, firstMs: way.firstMs(model), leave: () => places.leave(host) }
      try {
        return { answer: await tryHost({ ...trial, ...time, perform: way.perform(model, way) }) }
      } catch (error) {
        deadlines.signal.throwIfAborted()
        if (!(error instanceof InferenceFault) || !error.about.elsewhere) throw error
        fault = error
      }
      fresh = fresh.filter((one) => one !== host)
      if ((msOf(fault) ?? 0) > patienceMs) patient = patient.filter((one) => one !== host)
    }
    return fault ?? leftAlone(hosts)
  }

  /** A place at one of the hosts that are not left alone. One that may be back is tried first. */
  async function aimAt(hosts: readonly Host[], { signal }: Deadlines): Promise<Aimed | undefined> {
    const well: Host[] = []
    for (const host of hosts) {
      const seen = host.name === undefined ? 'well' : watch.glance(host.name)
      if (seen === 'well') well.push(host)
      if (seen !== 'due' || host.name === undefined) continue
      const aim = await watch.aim(host.name)
      if (aim === 'well') well.push(host)
      if (aim === 'probe') return { host: await takeProbed(host, host.name, signal), aim }
    }
    return well.length === 0 ? undefined : { host: await places.take(well, signal), aim: 'well' }
  }

  async function takeProbed(host: Host, name: string, signal: AbortSignal): Promise<Host> {
    try {
      return await places.take([host], signal)
    } catch (error) {
      void watch.spare(name)
      throw error
    }
  }

  function leftAlone(hosts: readonly Host[]): InferenceFault {
    const waits = hosts.flatMap(({ name }) => (name === undefined ? [] : [watch.secondsAway(name)]))
    return new InferenceFault('SERVICE_UNAVAILABLE', 'The model is not available now.', {
      elsewhere: true,
      retryAfterSeconds: waits.length === 0 ? undefined : Math.min(...waits),
      cause: new Error('All its hosts are left alone for a while'),
    })
  }

  return {
    chat: (model, request, call) =>
      route<ChatReply>(model, {
        surface: 'chat',
        call,
        firstMs: ({ timeouts }) =>
          msOrNone(timeouts.firstByte ?? (request.stream ? firstSeconds : undefined)),
        perform: (asked, way) => async (host, own, time) => {
          const reply = await host.backend.chat(request, own)
          if (reply.kind === 'whole') return reply
          way.lasts()
          const over = time.lasts()
          const ended = (error: unknown) => {
            way.deadlines.end()
            over(error)
          }
          const idleMs = (asked.timeouts.idle ?? idleSeconds) * 1000
          return { kind: 'stream', chunks: holdStream(reply.chunks, { idleMs, time, ended }) }
        },
      }),
    embed: (model, request, call) =>
      route<Embeddings>(model, {
        surface: 'embeddings',
        call,
        firstMs: ({ timeouts }) => (timeouts.firstByte ?? firstSeconds) * 1000,
        perform: () => (host, own) => host.backend.embed(request, own),
      }),
    close: () => agent.destroy(),
  }
}

function whyNot(
  asked: ModelDescription,
  next: ModelDescription | undefined,
  { surface, call }: Pick<Way<unknown>, 'surface' | 'call'>,
): string | undefined {
  if (!next) return 'there is no such model'
  if (next.namespace === asked.namespace) return 'it is the model itself'
  const serves = surface === 'chat' ? (['chat', 'responses'] as const) : (['embeddings'] as const)
  if (!serves.some((api) => next.apis.includes(api))) return `it does not serve ${surface}`
  if (next.service.type === 'partner' && asked.service.type === 'native' && !asked.partnerFallbacks)
    return 'what was sent may not leave this installation'
  if (call.allows?.(next) === false) return 'who asked may not use it'
  return undefined
}

function orFault<T>(work: () => T): T | InferenceFault {
  try {
    return work()
  } catch (error) {
    if (error instanceof InferenceFault) return error
    throw error
  }
}

function msOf(fault: InferenceFault | undefined): number | undefined {
  return msOrNone(fault?.about.retryAfterSeconds)
}

function msOrNone(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : seconds * 1000
}

/** Until a stream begins, or a vector is there. */
const firstSeconds = 60
/** Between two chunks. */
const idleSeconds = 60

export interface Router {
  /** Resolves when the answer is whole, or its first chunk is there. Returning the stream early closes the connection. */
  chat(model: ModelDescription, request: ChatRequest, call: RouteCall): Promise<ChatReply>
  embed(model: ModelDescription, request: EmbeddingsRequest, call: RouteCall): Promise<Embeddings>
  close(): Promise<void>
}

/** One request's way through all its tries. */
export interface RouteCall {
  /** The client has gone. */
  signal: AbortSignal
  requestId: string
  report: RouteReport
  /** Unless told otherwise, fallbacks stand in. */
  allowFallbacks?: boolean | undefined
  /** Which of them may; all unless told. */
  allows?: ((model: ModelDescription) => boolean) | undefined
}

export interface RouterOptions {
  watch: HostWatch
  /** The model of a slug. */
  describe(slug: string): ModelDescription | undefined
  /** Opens a model of another kind than `openai`, such as a module. */
  openOther?: ((model: ModelDescription) => Backend | undefined) | undefined
  /** For `${NAME}` in settings; the process's own environment unless stated. */
  variable?: (name: string) => string | undefined
}

interface Way<T> {
  surface: Surface
  call: RouteCall
  /** Milliseconds until a try has to have begun. */
  firstMs(model: ModelDescription): number | undefined
  perform(model: ModelDescription, way: KeptWay<T>): Perform<T>
}

interface KeptWay<T> extends Way<T> {
  deadlines: Deadlines
  /** The deadlines go on with the answer. */
  lasts(): void
}

interface Aimed {
  host: Host
  aim: Aim
}

interface Won<T> {
  answer: T
}
