import type { Database } from '@millrace/database/connect'
import { type HostState, readHosts } from '@millrace/lifecycle/hosts'
import { variableOf } from '@millrace/models/config'
import type { ModelDescription } from '@millrace/models/description'
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
  const { origin, known } = ownStates(states, model)
  const name = (address: string | undefined) => (admin && address !== undefined ? address : provider.kind)
  if (known.length === 0) return [{ host: name(origin), breaker: 'closed', failures: 0 }]
  return known.map(({ name: address, failures, closedFor, reason }) => ({
    host: name(address),
    breaker: closedFor === null ? 'closed' : closedFor > 0 ? 'open' : 'half_open',
    failures,
    ...(closedFor === null ? {} : { retry_in_seconds: Math.ceil(closedFor) }),
    ...(admin ? { reason } : {}),
  }))
}

/** Whether the host of a model is left alone. One that is on the workers' own machines, on so many as there are workers. */
export function isAway(states: HostState[], model: ModelDescription, workers: number): boolean {
  if (!isElsewhere(model)) return false
  const { origin, known } = ownStates(states, model)
  const away = known.filter(({ closedFor }) => closedFor !== null && closedFor > 0)
  return away.some(({ name }) => name === origin) || (away.length > 0 && away.length >= workers)
}

/** Whether it has a host, and is not run by a worker itself. */
export function isElsewhere({ provider }: ModelDescription): boolean {
  return provider.kind !== 'module' && provider.kind !== 'command'
}

function ownStates(states: HostState[], { provider }: ModelDescription): OwnStates {
  const stated = 'url' in provider ? provider.url : 'base_url' in provider ? provider.base_url : ''
  const origin = URL.parse(replaceVariables(stated, (name) => variableOf(name) ?? ''))?.origin
  const known = states.filter(({ name }) => name === origin || name.startsWith(`${origin} on `))
  return { origin, known }
}

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
