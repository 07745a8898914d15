import { storePorts } from '@millrace/outbound/store-ports'

/**
 * The environment of a process that runs a model: what programs need to work, and the names the model asked for.
 * Everything else stays out, so that no model sees the database's URL or the master key, and NODE_OPTIONS of the
 * service does not reach into it. `OUTBOUND_CLOSED_PORTS` tells a model that calls addresses of its callers which ports
 * are the service's own stores.
 */
export function modelEnvironment(names: readonly string[] = []): NodeJS.ProcessEnv {
  const wanted = [...everyProcess, ...names.filter((name) => !kept.has(name))]
  const known: NodeJS.ProcessEnv = { ...process.env, OUTBOUND_CLOSED_PORTS: closedPorts() }
  return Object.fromEntries(
    wanted.flatMap((name) => (known[name] === undefined ? [] : [[name, known[name]]])),
  )
}

function closedPorts(): string | undefined {
  const { DATABASE_URL: database, REDIS_URL: redis } = process.env
  return database ? storePorts(database, redis || undefined).join(',') : undefined
}

/** Which of these variables are not set. */
export function missingVariables(names: readonly string[]): string[] {
  return names.filter((name) => isKept(name) || !process.env[name])
}

/** What a variable is set to, for the settings of a host that a model is on. The service's own are not to be had. */
export function variableOf(name: string): string | undefined {
  return isKept(name) ? undefined : process.env[name]
}

/** Whether a variable is one of the service's own secrets. */
export function isKept(name: string): boolean {
  return kept.has(name)
}

const everyProcess = [
  'PATH',
  'HOME',
  'LANG',
  'LC_ALL',
  'TZ',
  'TMPDIR',
  'TEMP',
  'TMP',
  'SYSTEMROOT',
  'NODE_COMPILE_CACHE',
]

/** The service's own secrets, which not even a model that names them gets. */
const kept = new Set([
  'DATABASE_URL',
  'REDIS_URL',
  'MASTER_KEY',
  'MASTER_KEY_PREVIOUS',
  'ADMIN_API_KEY',
  'STORAGE_URL',
  'NODE_OPTIONS',
])
