import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/**
 * Stands between one process and a store and does to its connections what networks do. Bytes pass in order; a fault
 * holds for open and new connections alike until the next one is set, `refused` for new ones only.
 */
export async function startProxy(target: { host: string; port: number }): Promise<FaultProxy> {
  const links = new Set<Link>()
  let fault: NetworkFault = 'none'
  let losing: Losing | undefined
  let waiting: Waiting | undefined

  const server = createServer({ noDelay: true }, (client) => {
    if (fault === 'refused') {
      client.resetAndDestroy()
      return
    }
    const link: Link = openLink(client, target, () => {
      if (fault !== 'deaf') return fault
      return link.listens ? 'black-hole' : 'none'
    })
    links.add(link)
    link.closed.finally(() => links.delete(link))
    link.up.watch = (bytes) => {
      link.listens ||= bytes.includes('LISTEN ') || bytes.includes('listen ')
      if (waiting?.wanted(bytes)) {
        const { act } = waiting
        waiting = undefined
        act()
      }
      if (losing === undefined || losing.lost === losing.times) return
      if (!losing.marks.some((mark) => bytes.includes(mark))) return
      losing.seen++
      if (losing.seen % losing.every !== 0) return
      losing.lost++
      link.loseAnswer(losing.onLost)
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')

  return {
    port: (server.address() as AddressInfo).port,
    set(next) {
      fault = next
      for (const link of links) link.resume()
    },
    cut(how) {
      const open = [...links]
      for (const link of open) link.cut(how)
      return open.length
    },
    loseAnswers({ marks, every = 1, times, onLost = () => {} }) {
      const own = { marks: marks.map((mark) => Buffer.from(mark)), every, times, lost: 0, seen: 0, onLost }
      losing = own
      return () => own.lost
    },
    before(wanted, act) {
      waiting = { wanted, act }
    },
    connections: () => links.size,
    async close() {
      for (const link of links) link.cut('close')
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function openLink(
  client: Socket,
  target: { host: string; port: number },
  faultNow: () => NetworkFault,
): Link {
  const server = connect({ ...target, noDelay: true })
  const up = pump(client, server, faultNow)
  const down = pump(server, client, faultNow)
  const closed = Promise.all([ended(client), ended(server)]).then(() => {})
  return {
    up,
    closed,
    listens: false,
    resume() {
      up.resume()
      down.resume()
    },
    cut(how) {
      if (how === 'half-open') {
        // The other end is gone and nobody says so.
        down.mute()
        up.mute()
        server.destroy()
      } else if (how === 'reset') {
        client.resetAndDestroy()
        server.resetAndDestroy()
      } else {
        client.destroy()
        server.destroy()
      }
    },
    loseAnswer(onLost) {
      // The store did its work once it answers; what it says never arrives.
      down.mute()
      server.once('data', () => {
        client.resetAndDestroy()
        server.destroy()
        onLost()
      })
    },
  }
}

/** Passes bytes from one socket to the other as the fault of the moment allows. */
function pump(from: Socket, to: Socket, faultNow: () => NetworkFault): Pump {
  const held: Buffer[] = []
  let busy = false
  let muted = false
  let over = false
  const self: Pump = { resume: () => void flow(), mute, watch: () => {} }

  function mute(): void {
    muted = true
    held.length = 0
  }

  async function flow(): Promise<void> {
    if (busy) return
    busy = true
    while (held.length > 0 && !to.destroyed) {
      const fault = faultNow()
      if (fault === 'black-hole') break
      const bytes = held.shift()
      if (bytes === undefined) break
      if (typeof fault === 'object' && 'delayMs' in fault) await pause(fault.delayMs)
      const drip =
        typeof fault === 'object' && 'dripBytes' in fault ? fault.dripBytes : Number.POSITIVE_INFINITY
      const now = bytes.subarray(0, drip)
      if (now.length < bytes.length) held.unshift(bytes.subarray(now.length))
      await pause((1000 * now.length) / drip)
      if (!to.write(now)) await Promise.race([once(to, 'drain'), ended(to)]).catch(() => {})
    }
    busy = false
    if (over && held.length === 0 && !muted && faultNow() !== 'black-hole') to.end()
  }

  from.on('data', (bytes) => {
    if (muted) return
    self.watch(bytes)
    held.push(bytes)
    void flow()
  })
  from.on('error', () => {})
  from.on('close', () => {
    over = true
    void flow()
  })
  return self
}

async function ended(socket: Socket): Promise<void> {
  if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve))
}

async function pause(ms: number): Promise<void> {
  if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms))
}

export interface FaultProxy {
  port: number
  set(fault: NetworkFault): void
  /** Ends the open connections and answers how many there were; new ones pass. */
  cut(how: 'close' | 'reset' | 'half-open'): number
  /**
   * Every `every`th message to the store that holds one of `marks` (`commit`, a statement's name) reaches it and is
   * carried out, and the connection is reset before the answer arrives; at most `times` times. Answers a counter of
   * what was lost so far.
   */
  loseAnswers(which: { marks: string[]; every?: number; times: number; onLost?: () => void }): () => number
  /** Calls `act` once, right before the next message to the store of which `wanted` is true goes on. */
  before(wanted: (message: Buffer) => boolean, act: () => void): void
  connections(): number
  close(): Promise<void>
}

/**
 * `black-hole`: nothing passes and nothing breaks. `deaf`: so it is with the connections on which Postgres was told to
 * LISTEN, and all others work. `dripBytes`: so many bytes a second and direction.
 */
export type NetworkFault =
  | 'none'
  | 'refused'
  | 'black-hole'
  | 'deaf'
  | { delayMs: number }
  | { dripBytes: number }

interface Link {
  up: Pump
  closed: Promise<void>
  /** Whether LISTEN was sent on it. */
  listens: boolean
  resume(): void
  cut(how: 'close' | 'reset' | 'half-open'): void
  loseAnswer(onLost: () => void): void
}

interface Pump {
  resume(): void
  /** What comes from now on goes nowhere. */
  mute(): void
  watch: (bytes: Buffer) => void
}

interface Waiting {
  wanted: (message: Buffer) => boolean
  act: () => void
}

interface Losing {
  marks: Buffer[]
  every: number
  times: number
  lost: number
  seen: number
  onLost: () => void
}
