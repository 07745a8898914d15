import { setTimeout as delay } from 'node:timers/promises'
import type { Health, ServiceStatus } from '@millrace/contract/activity'
import type { Database } from '@millrace/database/connect'
import { readWorkers } from '@millrace/lifecycle/workers'
import type { ModelDescription } from '@millrace/models/description'
import { lackOf } from '@millrace/models/present-model'
import type { Context } from './context.ts'
import { isAway } from './model-hosts.ts'
import { visibleModels } from './overview/visible-models.ts'

/** How the service is, looked at when somebody asks and kept for a few seconds: everybody together costs what one does. */
export function keepStatus(): StatusWatch {
  let kept: { status: Promise<ServiceStatus>; until: number } | undefined
  return {
    of(context) {
      if (kept && performance.now() < kept.until) return kept.status
      const status = lookAt(context)
      kept = { status, until: performance.now() + keptMs }
      return status
    },
  }
}

const keptMs = 3_000

/** Never rejects: that something is down is what is asked for. */
async function lookAt(context: StatusContext): Promise<ServiceStatus> {
  const { queue, draining } = context
  const seen = await withinTime(see(context)).catch(() => undefined)
  const database: Health = seen ? 'operational' : 'down'
  const components = {
    api: draining.signal.aborted ? 'down' : database,
    database,
    queue: queue.ready() ? 'operational' : 'degraded',
    workers: seen && seen.workers > 0 ? 'operational' : 'down',
    webhooks: seen ? webhooksOf(seen.sending) : 'down',
  } as const satisfies ServiceStatus['components']
  const degraded = Object.values(components).some((one) => one !== 'operational')
  return {
    status: components.api === 'down' ? 'down' : degraded ? 'degraded' : 'operational',
    components,
    models: seen?.models ?? [],
  }
}

async function withinTime<T>(work: Promise<T>): Promise<T> {
  const late = new AbortController()
  const patience = delay(patienceMs, undefined, { signal: late.signal, ref: false }).then(() => {
    throw new Error('The database did not answer in time')
  })
  try {
    return await Promise.race([work, patience])
  } finally {
    late.abort()
    patience.catch(() => {})
  }
}

const patienceMs = 2_000

async function see(context: StatusContext): Promise<Seen> {
  const [workers, hosts, sending] = await Promise.all([
    readWorkers(context.db),
    context.hosts.states(),
    readSending(context.db),
  ])
  const models = visibleModels(context).map((model) => {
    const serving = workers.filter((names) =>
      [model.namespace, ...model.aliases].some((name) => names.has(name)),
    )
    const reason = reasonOf(model, serving.length, isAway(hosts, model, serving.length))
    const status: Health = reason === null ? 'operational' : 'down'
    return { model: model.namespace, status, reason }
  })
  return { workers: workers.length, sending, models: models.sort((a, b) => (a.model < b.model ? -1 : 1)) }
}

/** In words that tell nothing of hosts and settings. A model of inference alone needs no worker. */
function reasonOf(model: ModelDescription, workers: number, away: boolean): string | null {
  if (lackOf(model) !== null) return 'It is not set up.'
  if (workers === 0 && model.apis.includes('predictions')) return 'No worker serves it.'
  return away ? 'Its host failed again and again, and is asked again in a while.' : null
}

function webhooksOf({ senders, lateSeconds }: Sending): Health {
  if (!senders) return 'down'
  return lateSeconds > 300 ? 'degraded' : 'operational'
}

/** Whether a dispatcher is connected, and how late the oldest webhook is that is due. */
async function readSending({ pool }: Database): Promise<Sending> {
  const { rows } = await pool.query<Sending>({
    name: 'read-sending',
    text: `select exists (select from pg_stat_activity where datname = current_database() and application_name = 'millrace-dispatcher') as senders,
             coalesce((select extract(epoch from clock_timestamp() - due_at)::float8 from deliveries
                       where completed_at is null order by due_at limit 1), 0) as "lateSeconds"`,
  })
  return rows[0] ?? { senders: false, lateSeconds: 0 }
}

type StatusContext = Pick<Context, 'db' | 'queue' | 'draining' | 'hosts' | 'catalogue'>

interface Sending {
  senders: boolean
  lateSeconds: number
}

interface Seen {
  workers: number
  sending: Sending
  models: ServiceStatus['models']
}

/** See `keepStatus`. */
export interface StatusWatch {
  /** As of a few seconds ago at most. */
  of(context: StatusContext): Promise<ServiceStatus>
}
