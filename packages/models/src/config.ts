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
