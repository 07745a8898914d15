import type { Database } from '@millrace/database/connect'
import { type HostState, readHosts } from '@millrace/hosts/hosts'
import { variableOf } from '@millrace/models/config'
import type { ModelDescription } from '@millrace/models/description'
import { openaiHosts } from '@millrace/models/openai-hosts'
import type { RemoteKind } from '@millrace/models/provider-settings'
import { replaceVariables } from '@millrace/models/variables'

/** The hosts that failed lately, read when somebody asks and kept for a second: many who ask at once cost what one does. */
export function keepHosts(db: Database): Hosts {
  let kept: { states: Promise<HostState[]>; until: number } | undefined
  return {
    states() {
      if (kept && performance.now() < kept.until) return kept.states
      const states = readHosts(db)
      kept = { states, until: performance.now() + keptMs }
      states.catch(() => {
        kept = undefined
      })
      return states
    },
  }
}

const keptMs = 1_000

/**
 * How the host of a model does, as the workers found it: one entry for each machine that has one of its own. Its address
 * and its words are for admins; whoever else asks learns its kind. Empty where the model runs in a worker itself.
 */
export function hostsOf(states: HostState[], model: ModelDescription, admin: boolean): HostHealth[] {
  const { provider } = model
  if (!isElsewhere(model)) return []
  const shown = (address: string | undefined) => (admin && address !== undefined ? address : provider.kind)
  return ownStates(states, model).flatMap(({ origin, known }): HostHealth[] => {
    if (known.length === 0) return [{ host: shown(origin), breaker: 'closed', failures: 0 }]
    return known.map(({ name, failures, closedFor, reason }) => ({
      host: shown(name),
      breaker: closedFor === null ? 'closed' : closedFor > 0 ? 'open' : 'half_open',
      failures,
      ...(closedFor === null ? {} : { retry_in_seconds: Math.ceil(closedFor) }),
      ...(admin ? { reason } : {}),
    }))
  })
}

/**
 * Whether all hosts of a model are left alone. One that is on the workers' own machines, on so many as there are workers.
 */
export function isAway(states: HostState[], model: ModelDescription, workers: number): boolean {
  if (!isElsewhere(model)) return false
  return ownStates(states, model).every(({ origin, known }) => {
    const away = known.filter(({ closedFor }) => closedFor !== null && closedFor > 0)
    return away.some(({ name }) => name === origin) || (away.length > 0 && away.length >= workers)
  })
}

/** Whether it has a host, and is not run by a worker itself. */
export function isElsewhere<Model extends Pick<ModelDescription, 'provider'>>(
  model: Model,
): model is Model & { provider: RemoteProvider } {
  return model.provider.kind !== 'module' && model.provider.kind !== 'command'
}

function ownStates(states: HostState[], { provider }: { provider: RemoteProvider }): OwnStates[] {
  const stated =
    provider.kind === 'openai'
      ? openaiHosts(provider).map((host) => host.base_url)
      : ['url' in provider ? provider.url : provider.base_url]
  const origins = stated.map(
    (address) => URL.parse(replaceVariables(address, (name) => variableOf(name) ?? ''))?.origin,
  )
  return [...new Set(origins)].map((origin) => ({
    origin,
    known: states.filter(({ name }) => name === origin || name.startsWith(`${origin} on `)),
  }))
}

type RemoteProvider = Extract<ModelDescription['provider'], { kind: RemoteKind }>

export interface Hosts {
  /** As of a moment ago. */
  states(): Promise<HostState[]>
}

interface OwnStates {
  origin: string | undefined
  known: HostState[]
}

interface HostHealth {
  host: string
  /** `open`: it failed again and again and is left alone; `half_open`: the next run finds out whether it is back. */
  breaker: 'closed' | 'open' | 'half_open'
  /** In a row. */
  failures: number
  retry_in_seconds?: number
  reason?: string
}
