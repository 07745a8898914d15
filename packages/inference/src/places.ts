import type { Host } from './hosts-of.ts'

/**
 * Counts what runs at each host, whichever models it is for, and gives each request the host that has least to do for
 * its weight. Hosts that have equally little take turns by their weights. Who finds all of them full waits in line.
 */
export function createPlaces(): Places {
  const loads = new Map<string, Load>()
  const line = new Set<Waiter>()

  function take(hosts: readonly Host[], signal: AbortSignal): Promise<Host> | Host {
    const host = leastBusy(hosts)
    if (!host) return wait(hosts, signal)
    host.load.running += 1
    return host
  }

  function wait(hosts: readonly Host[], signal: AbortSignal): Promise<Host> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        line.delete(waiter)
        reject(signal.reason)
      }
      const waiter: Waiter = {
        hosts,
        give(host) {
          line.delete(waiter)
          signal.removeEventListener('abort', leave)
          resolve(host)
        },
      }
      if (signal.aborted) return reject(signal.reason)
      signal.addEventListener('abort', leave, { once: true })
      line.add(waiter)
    })
  }

  return {
    take,
    leave({ load }) {
      load.running -= 1
      // Handed on, so that nobody who comes now is before those who wait.
      for (const waiter of line) {
        const host = waiter.hosts.find((one) => one.load === load && hasRoom(one))
        if (!host) continue
        load.running += 1
        return waiter.give(host)
      }
    },
    loadOf(name) {
      const load = loads.get(name) ?? { running: 0 }
      loads.set(name, load)
      return load
    },
  }
}

function leastBusy(hosts: readonly Host[]): Host | undefined {
  let least = Number.POSITIVE_INFINITY
  let equal: Host[] = []
  for (const host of hosts) {
    if (!hasRoom(host)) continue
    const busy = host.load.running / host.weight
    if (busy < least) {
      least = busy
      equal = [host]
    } else if (busy === least) equal.push(host)
  }
  return equal.length > 1 ? nextOf(equal) : equal[0]
}

/** Smooth weighted turns: of weights 2 and 1, a b a, a b a. */
function nextOf(hosts: readonly Host[]): Host | undefined {
  let all = 0
  let next: Host | undefined
  for (const host of hosts) {
    host.turn += host.weight
    all += host.weight
    if (!next || host.turn > next.turn) next = host
  }
  if (next) next.turn -= all
  return next
}

function hasRoom({ load, most = Number.POSITIVE_INFINITY }: Host): boolean {
  return load.running < most
}

/** What runs at a host. */
export interface Load {
  running: number
}

export interface Places {
  /** A place at one of them, at once where there is one. Rejects with the signal's reason. `leave` follows. */
  take(hosts: readonly Host[], signal: AbortSignal): Promise<Host> | Host
  leave(host: Host): void
  loadOf(name: string): Load
}

interface Waiter {
  hosts: readonly Host[]
  give(host: Host): void
}
