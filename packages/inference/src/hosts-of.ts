import type { ModelDescription } from '@millrace/models/description'
import { hostNameOf } from '@millrace/models/host-name'
import { openaiHosts } from '@millrace/models/openai-hosts'
import { replaceVariables } from '@millrace/models/variables'
import type { Dispatcher } from 'undici'
import type { Backend } from './backend.ts'
import { InferenceFault } from './fault.ts'
import { openHost } from './openai-host.ts'
import type { Load, Places } from './places.ts'
import { openResponsesHost } from './responses-host.ts'

/**
 * Opens the hosts of models, once for each state of a model. Throws InferenceFault where this process cannot: a variable
 * is not set, or nothing of its kind answers such requests.
 */
export function createHostsOf({ agent, places, variable, openOther }: HostsOptions): HostsOf {
  // A model that changed is another object.
  const opened = new WeakMap<ModelDescription, Host[]>()

  function open(model: ModelDescription): Host[] {
    const { provider } = model
    if (provider.kind !== 'openai') {
      const backend = openOther?.(model)
      if (!backend) throw notServed(model, `a model of kind ${provider.kind} answers no such requests`)
      return [
        { backend, name: undefined, weight: 1, turn: 0, load: places.loadOf(`model ${model.namespace}`) },
      ]
    }
    const openIt = speaksChat(provider.speaks) ? openHost : openResponsesHost
    return openaiHosts(provider).map((stated) => {
      const filled = replaceVariables(stated, (name) => {
        const value = variable(name)
        if (!value) throw notServed(model, `${name} is not set`)
        return value
      })
      const name = hostNameOf(filled.base_url)
      if (name === undefined) throw notServed(model, 'its base_url is no address')
      const settings = {
        name,
        baseUrl: filled.base_url,
        apiKey: filled.api_key,
        model: filled.model ?? model.namespace,
      }
      return {
        name,
        backend: openIt(settings, { agent }),
        weight: filled.weight,
        most: filled.max_running,
        turn: 0,
        load: places.loadOf(name),
      }
    })
  }

  return (model, surface) => {
    const { provider } = model
    if (provider.kind === 'openai' && !speaks(provider.speaks, surface)) {
      throw notServed(model, `its hosts do not speak ${surface}`)
    }
    const known = opened.get(model)
    if (known) return known
    const hosts = open(model)
    opened.set(model, hosts)
    return hosts
  }
}

/** Who speaks Responses can be chatted with, in other words. */
function speaks(tongues: readonly string[] | undefined, surface: Surface): boolean {
  if (!tongues) return true
  return tongues.includes(surface) || (surface === 'chat' && tongues.includes('responses'))
}

function speaksChat(tongues: readonly string[] | undefined): boolean {
  return !tongues?.includes('responses') || tongues.includes('chat')
}

function notServed({ namespace }: ModelDescription, reason: string): InferenceFault {
  return new InferenceFault('SERVICE_UNAVAILABLE', 'The model is not available on this server.', {
    elsewhere: true,
    cause: new Error(`${namespace} is not served here: ${reason}`),
  })
}

export type HostsOf = (model: ModelDescription, surface: Surface) => readonly Host[]

/** What is asked of a host. */
export type Surface = 'chat' | 'embeddings'

/** One of the places where a model is answered for. */
export interface Host {
  backend: Backend
  /** What its breaker knows it by; undefined where it is a process of ours. */
  name: string | undefined
  weight: number
  /** Requests at a time from this process. */
  most?: number | undefined
  /** Where it stands among the hosts that take turns. */
  turn: number
  load: Load
}

interface HostsOptions {
  agent: Dispatcher
  places: Places
  variable: (name: string) => string | undefined
  openOther: ((model: ModelDescription) => Backend | undefined) | undefined
}
