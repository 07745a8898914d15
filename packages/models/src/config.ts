/**
 * The environment of a process that runs a model: what programs need to work, and the names the model asked for.
 * Everything else stays out, so that no model sees the database's URL or the master key, and NODE_OPTIONS of the
 * service does not reach into it.
 */
export function modelEnvironment(names: readonly string[] = []): NodeJS.ProcessEnv {
  const wanted = [...everyProcess, ...names.filter((name) => !kept.has(name))]
  return Object.fromEntries(
    wanted.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  )
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
