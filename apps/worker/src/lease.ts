import { connect } from '@millrace/database/connect'
import type { Fence } from '@millrace/lifecycle/claim'
import { renew } from '@millrace/lifecycle/renew'

/**
 * Keeps the leases of all runs of this process with one statement every third of a lease. A renewal that answers "not
 * yours" stops its run, one that carries the cancel flag too. While the database cannot be asked nothing is stopped: a
 * run goes on and its result is held, since nobody else could have taken it.
 *
 * A renewal that failed, or has no answer yet, is followed by another one a sixth of a lease later, on a connection of
 * its own: no other statement's connection, nor an earlier one that fell silent. Whichever is answered first counts.
 * With a lease of 15 s, last renewed at 0, they leave at 5, 7.5, 10 and 12.5 s, with one of 2 s at 0.67, 1, 1.33 and
 * 1.67 s: three connections in a row may be dead.
 */
export function createLease({ databaseUrl, worker, leaseSeconds, onError }: LeaseOptions): Lease {
  const beatMs = (leaseSeconds * 1000) / 6
  // By then the others have said more than its answer could.
  const patienceMs = triesAtOnce * beatMs
  const db = connect({ url: databaseUrl, max: triesAtOnce, name: 'millrace-leases', patienceMs })
  const holds = new Map<string, Hold>()
  const underWay = new Set<Renewal>()
  /** When the newest renewal that was answered had left. */
  let renewedAt = Number.NEGATIVE_INFINITY
  let stopping: StopReason | undefined
  let leaving = false
  const timer = setInterval(beat, beatMs)

  function beat(): void {
    if (holds.size === 0 || underWay.size === triesAtOnce) return
    // Every second beat; timers may be a little early.
    if (performance.now() - renewedAt < 1.5 * beatMs) return
    const asked = new Set(holds.values())
    const renewal: Renewal = { asked, done: renewAll(asked).catch(onError) }
    underWay.add(renewal)
    void renewal.done.finally(() => underWay.delete(renewal))
  }

  async function renewAll(asked: Set<Hold>): Promise<void> {
    const leftAt = performance.now()
    const fences = [...asked].map(({ fence }) => fence)
    const ours = await renew(db, { fences, worker, leaseSeconds, patienceMs })
    renewedAt = Math.max(renewedAt, leftAt)
    for (const hold of asked) {
      const answer = ours.get(hold.fence.id)
      if (!answer) hold.stop('lost')
      else if (answer.cancel) hold.stop('cancel')
    }
  }

  return {
    hold({ id, attempt }) {
      // This very process may claim again what it lost without noticing.
      holds.get(id)?.stop('lost')
      const controller = new AbortController()
      let hasJob = false
      const hold: Hold = {
        leave() {
          hasJob = true
          if (leaving) hold.stop('drain')
        },
        mayLeave: () => hasJob,
        fence: { id, attempt },
        signal: controller.signal,
        stop: (reason) => controller.abort(reason),
        stopped: () => (controller.signal.aborted ? (controller.signal.reason as StopReason) : undefined),
        async end() {
          if (holds.get(id) === hold) holds.delete(id)
          await Promise.all([...underWay].map(({ asked, done }) => asked.has(hold) && done))
        },
      }
      holds.set(id, hold)
      if (stopping) hold.stop(stopping)
      return hold
    },
    cancel(ids) {
      for (const id of ids) holds.get(id)?.stop('cancel')
    },
    leaveJobs() {
      leaving = true
      for (const hold of holds.values()) if (hold.mayLeave()) hold.stop('drain')
    },
    stopAll(reason) {
      stopping = reason
      for (const hold of holds.values()) hold.stop(reason)
    },
    async close() {
      clearInterval(timer)
      await db.close()
    },
  }
}

const triesAtOnce = 4

/** Whether somebody else has the run now: nothing that is still done for it counts. */
export function isLost(hold: Hold): boolean {
  return hold.stopped() === 'lost'
}

/** Why a run was told to stop; the first reason stands. */
export type StopReason = 'cancel' | 'lost' | 'drain' | 'start-timeout' | 'run-timeout'

/** One run that this process holds. */
export interface Hold {
  fence: Fence
  /** Fires when the run must stop. */
  signal: AbortSignal
  stop(reason: StopReason): void
  /** Its host is at work and can be left to it: whoever has the run next takes the job up. */
  leave(): void
  mayLeave(): boolean
  stopped(): StopReason | undefined
  /** Renews it no more. Renewals of it that are under way are waited for: they could take back a lease that is given up next. */
  end(): Promise<void>
}

export interface Lease {
  hold(fence: Fence): Hold
  cancel(ids: string[]): void
  /** Stops those whose hosts can be left at work, also ones that come in later. */
  leaveJobs(): void
  /** Also those that come in later. */
  stopAll(reason: StopReason): void
  close(): Promise<void>
}

interface Renewal {
  asked: Set<Hold>
  done: Promise<void>
}

interface LeaseOptions {
  databaseUrl: string
  worker: string
  leaseSeconds: number
  onError: (error: unknown) => void
}
