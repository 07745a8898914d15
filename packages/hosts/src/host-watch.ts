import type { Database } from '@millrace/database/connect'
import type { Log } from '@millrace/process/log'
import {
  dropProbe,
  failuresToOpen,
  type HostState,
  noteFailure,
  noteService,
  readHosts,
  takeProbe,
} from './hosts.ts'

/**
 * Knows which hosts are away, from all processes together: one that failed a few runs in a row is left alone for a
 * while, then one run at a time finds out whether it is back. Read at most once a second, and only for what is about to
 * be asked; written only when a host fails, and when it serves again.
 */
export function watchHosts(db: Database, log: Log): HostWatch {
  let known = new Map<string, Known>()
  let readAt = Number.NEGATIVE_INFINITY
  let reading: Promise<void> | undefined
  let recovered: (host: string) => void = () => undefined

  async function look(): Promise<void> {
    if (performance.now() - readAt < betweenLooksMs) return
    reading ??= read().finally(() => {
      reading = undefined
    })
    await reading
  }

  async function read(): Promise<void> {
    try {
      const states = await readHosts(db)
      const back = [...known.keys()].filter((name) => !states.some((state) => state.name === name))
      known = new Map(states.map((state) => [state.name, withTime(state)]))
      for (const name of back) recovered(name)
    } catch (err) {
      log.warn({ err }, 'it cannot be told which hosts are away')
    }
    readAt = performance.now()
  }

  async function aim(host: string | undefined): Promise<Aim> {
    if (host === undefined) return 'well'
    await look()
    const state = known.get(host)
    if (!state || state.failures < failuresToOpen) return 'well'
    if (state.probed || state.openUntil > performance.now()) return 'away'
    const mine = await takeProbe(db, host).catch(() => false)
    if (mine) state.probed = true
    return mine ? 'probe' : 'away'
  }

  function glance(host: string): Glance {
    if (performance.now() - readAt >= betweenLooksMs) void look()
    const state = known.get(host)
    if (!state || state.failures < failuresToOpen) return 'well'
    return state.probed || state.openUntil > performance.now() ? 'away' : 'due'
  }

  async function failed(host: string, reason: string, began: number): Promise<void> {
    if ((known.get(host)?.openUntil ?? 0) > performance.now()) return
    const secondsAgo = (performance.now() - began) / 1000
    const state = await noteFailure(db, { name: host, reason, secondsAgo })
    if (!state) return
    known.set(host, withTime(state))
    if (state.closedFor !== null)
      log.warn({ host, reason, failures: state.failures, seconds: state.closedFor }, 'a host is left alone')
  }

  async function served(host: string): Promise<void> {
    const state = known.get(host)
    if (!state) return
    known.delete(host)
    await noteService(db, host)
    if (state.failures >= failuresToOpen) log.info({ mark: '+', host }, 'a host serves again')
    recovered(host)
  }

  async function leaveProbe(host: string): Promise<void> {
    const state = known.get(host)
    if (state) state.probed = false
    await dropProbe(db, host)
  }

  const surely = (work: Promise<void>) =>
    work.catch((err: unknown) => log.warn({ err }, 'what is known of a host could not be stored'))

  return {
    aim,
    glance,
    secondsAway(host) {
      const until = (known.get(host)?.openUntil ?? 0) - performance.now()
      return Math.max(betweenLooksMs, until) / 1000
    },
    async heard(host, outcome, { began, aim: aimed }) {
      if (host === undefined) return
      if (outcome.kind === 'unavailable' && outcome.down) await surely(failed(host, outcome.reason, began))
      else if (isService(outcome)) await surely(served(host))
      else if (aimed === 'probe') await surely(leaveProbe(host))
    },
    async works(host) {
      if (host !== undefined) await surely(served(host))
    },
    async spare(host) {
      await surely(leaveProbe(host))
    },
    onRecovery(listener) {
      recovered = listener
    },
  }
}

/** It answered as a host does that is well, whatever it said. */
function isService(outcome: Heard): boolean {
  return (
    outcome.kind === 'succeeded' ||
    outcome.kind === 'failed' ||
    (outcome.kind === 'unavailable' && outcome.busy === true)
  )
}

function withTime(state: HostState): Known {
  return { ...state, openUntil: performance.now() + (state.closedFor ?? 0) * 1000 }
}

const betweenLooksMs = 1_000

/** How a run may aim at its host: as ever; not at all; or as the one that finds out whether it is back. */
export type Aim = 'well' | 'away' | 'probe'

/** The same at once; `due`: `aim` may answer that one is to find out. */
export type Glance = 'well' | 'away' | 'due'

/** What came of asking a host, as far as it says how the host is. */
export type Heard =
  | { kind: 'succeeded' | 'failed' | 'crashed' | 'aborted' }
  | { kind: 'unavailable'; reason: string; down?: boolean | undefined; busy?: boolean | undefined }

export interface HostWatch {
  /** `probe` holds a promise: `heard`, `works` or `spare` follows. */
  aim(host: string | undefined): Promise<Aim>
  /** As far as it is known, without waiting: a look that is due is taken in the background. */
  glance(host: string): Glance
  /** How long it is left alone yet; at least until the next look. */
  secondsAway(host: string): number
  /** What a run that began then came to says of its host. */
  heard(host: string | undefined, outcome: Heard, run: { began: number; aim: Aim }): Promise<void>
  /** It took a job on. */
  works(host: string | undefined): Promise<void>
  /** There was no run to find out with. */
  spare(host: string): Promise<void>
  /** Calls `listener` when a host that failed serves again, as far as this process learns of it. */
  onRecovery(listener: (host: string) => void): void
}

type Known = HostState & {
  /** On this process's `performance.now()`. */
  openUntil: number
}
