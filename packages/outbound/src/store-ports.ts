/**
 * The ports of our own Postgres and Redis, for a guard's `closedPorts`: they are no target of a webhook or an input
 * file, wherever OUTBOUND_ALLOW points. `redisUrl` may be several URLs with commas.
 */
export function storePorts(databaseUrl: string, redisUrl: string | undefined): number[] {
  return [portOf(databaseUrl, 5432), ...(redisUrl?.split(',').map((url) => portOf(url, 6379)) ?? [])]
}

function portOf(url: string, standard: number): number {
  return Number(URL.parse(url)?.port) || standard
}
