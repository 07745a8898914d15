/** What each process of the plain service is told. */
export function settings(environment: NodeJS.ProcessEnv = process.env): Settings {
  const { DATABASE_URL = '', REDIS_URL = '', API_KEY = '', PORT } = environment
  return { databaseUrl: DATABASE_URL, redisUrl: REDIS_URL, apiKey: API_KEY, port: Number(PORT) }
}

/** A connection as BullMQ takes it. */
export function redisOf(url: string): { host: string; port: number; maxRetriesPerRequest: null } {
  const { hostname, port } = new URL(url)
  return { host: hostname, port: Number(port), maxRetriesPerRequest: null }
}

interface Settings {
  databaseUrl: string
  redisUrl: string
  apiKey: string
  port: number
}
