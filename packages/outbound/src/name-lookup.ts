import { lookup as getaddrinfo, Resolver } from 'node:dns/promises'
import type { ResolvedAddress } from './addresses.ts'
import { createHosts } from './hosts-file.ts'

/**
 * Looks names up so that a slow one keeps only its own caller waiting. The system's getaddrinfo occupies a thread for as
 * long as a name server likes, and of these a process has two: two dead names would stop all others. So the hosts file
 * comes first, then the name servers, asked over sockets that cost nothing while they wait; and what these do not know
 * (mDNS, search domains, other sources of nsswitch.conf) the system is asked for one name at a time.
 *
 * Answers with no address for a name that nobody knows, and throws UnansweredNameError when that could not be found out.
 */
export function createNameLookup(options: NameLookupOptions = {}): NameLookup {
  const { servers, withinMs = 4_000 } = options
  const hosts = createHosts(options.hostsFile)
  // Nobody can be given a name without a dot to serve, so those do not wait behind the others.
  const lanes = { dotted: createLane(withinMs), plain: createLane(withinMs) }

  return async (host) => {
    const name = host.replace(/\.$/, '')
    const listed = await hosts(name)
    if (listed.length > 0) return listed
    const found = await askServers(host, withinMs, servers)
    if (found.length > 0) return found
    return (name.includes('.') ? lanes.dotted : lanes.plain)(host)
  }
}

/** Neither an address nor a word that there is none. */
export class UnansweredNameError extends Error {
  constructor(options?: ErrorOptions) {
    super('The name could not be looked up', options)
    this.name = 'UnansweredNameError'
  }
}

/** When time is up, what has arrived by then counts: a name server may be silent about IPv6 alone. */
async function askServers(host: string, withinMs: number, servers?: string[]): Promise<ResolvedAddress[]> {
  // One for each look-up (40 µs): it reads resolv.conf as that is now, and its waiting can be ended.
  const resolver = new Resolver({ timeout: 2_000, tries: 2 })
  if (servers) resolver.setServers(servers)
  const timer = setTimeout(() => resolver.cancel(), withinMs)
  const [four, six] = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)])
  clearTimeout(timer)
  const found = [
    ...(four.status === 'fulfilled' ? four.value.map((address) => ({ address, family: 4 })) : []),
    ...(six.status === 'fulfilled' ? six.value.map((address) => ({ address, family: 6 })) : []),
  ]
  const unanswered = [four, six].find((one) => one.status === 'rejected' && isUnanswered(one.reason))
  if (found.length === 0 && unanswered) throw new UnansweredNameError({ cause: unanswered })
  return found
}

/** Asks the system for one name after the other; who has waited `withinMs` for the names before is not asked for. */
function createLane(withinMs: number): NameLookup {
  let last: Promise<unknown> = Promise.resolve()
  return (host) => {
    const until = performance.now() + withinMs
    const found = last.then(() => {
      if (performance.now() > until) throw new UnansweredNameError()
      return askSystem(host)
    })
    last = found.catch(() => {})
    return found
  }
}

async function askSystem(host: string): Promise<ResolvedAddress[]> {
  try {
    return await getaddrinfo(host, { all: true })
  } catch (cause) {
    if (isUnanswered(cause)) throw new UnansweredNameError({ cause })
    return []
  }
}

function isUnanswered(error: unknown): boolean {
  return error instanceof Error && 'code' in error && unanswered.has(String(error.code))
}

const unanswered = new Set(['ETIMEOUT', 'ESERVFAIL', 'EREFUSED', 'ECANCELLED', 'EAI_AGAIN'])

export type NameLookup = (host: string) => Promise<ResolvedAddress[]>

export type NameLookupOptions = {
  /** In place of those in resolv.conf. */
  servers?: string[]
  hostsFile?: string
  /** How long name servers are waited for, and how long a turn to ask the system. Milliseconds. */
  withinMs?: number
}
