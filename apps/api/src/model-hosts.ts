import type { Database } from '@millrace/database/connect'
import { readHosts } from '@millrace/hosts/hosts'
import { variableOf } from '@millrace/models/config'
import type { ModelDescription } from '@millrace/models/description'
import { openaiHosts } from '@millrace/models/openai-hosts'
import type { RemoteKind } from '@millrace/models/provider-settings'
import { replaceVariables } from '@millrace/models/variables'

/**
 * How the host of a model does, as the workers found it: one entry for each machine that has one of its own. Its address
 * and its words are for admins; whoever else asks learns its kind. Empty where the model runs in a worker itself.
 */
export async function hostsOf(db: Database, model: ModelDescription, admin: boolean): Promise<HostHealth[]> {
  const { provider } = model
  if (provider.kind === 'module' || provider.kind === 'command') return []
  const states = await readHosts(db)
  const shown = (address: string | undefined) => (admin && address !== undefined ? address : provider.kind)
  return originsOf(provider).flatMap((origin): HostHealth[] => {
    const known = states.filter(({ name }) => name === origin || name.startsWith(`${origin} on `))
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

function originsOf(provider: RemoteProvider): (string | undefined)[] {
  const stated =
    provider.kind === 'openai'
      ? openaiHosts(provider).map((host) => host.base_url)
      : ['url' in provider ? provider.url : provider.base_url]
  const origins = stated.map(
    (address) => URL.parse(replaceVariables(address, (name) => variableOf(name) ?? ''))?.origin,
  )
  return [...new Set(origins)]
}

type RemoteProvider = Extract<ModelDescription['provider'], { kind: RemoteKind }>

interface HostHealth {
  host: string
  /** `open`: it failed again and again and is left alone; `half_open`: the next run finds out whether it is back. */
  breaker: 'closed' | 'open' | 'half_open'
  /** In a row. */
  failures: number
  retry_in_seconds?: number
  reason?: string
}
