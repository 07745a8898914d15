import type { Database } from '@millrace/database/connect'
import type { Fence } from '@millrace/lifecycle/claim'
import { renew } from '@millrace/lifecycle/renew'

/**
 * Keeps the leases of all runs of this process with one statement every third of a lease. A renewal that answers "not
 * yours" stops its run, one that carries the cancel flag too. While the database cannot be asked nothing is stopped: a
 * run goes on and its result is held, since nobody else could have taken it.
 */
export function createLease({ db, worker, leaseSeconds, onError }: LeaseOptions): Lease {
  const holds = new Map<string, Hold>()
  let renewal: Promise<void> = Promise.resolve()
  const timer = setInterval(renewInTurn, (leaseSeconds * 1000) / 3)
  let underWay = false

  function renewInTurn(): void {
    if (underWay || holds.size === 0) return
    underWay = true
    renewal = renewAll()
      .catch(onError)
      .finally(() => {
        underWay = false
      })
  }

  async function renewAll(): Promise<void> {
    const asked = [...holds.values()]
    const fences = asked.map(({ fence }) => fence)
    const ours = await renew(db, { fences, worker, leaseSeconds })
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
      const hold: Hold = {
        fence: { id, attempt },
        signal: controller.signal,
        stop: (reason) => controller.abort(reason),
        stopped: () => (controller.signal.aborted ? (controller.signal.reason as StopReason) : undefined),
        async end() {
          if (holds.get(id) === hold) holds.delete(id)
          await renewal
        },
      }
      holds.set(id, hold)
      return hold
    },
    cancel(ids) {
      for (const id of ids) holds.get(id)?.stop('cancel')
    },
    stopAll(reason) {
      for (const hold of holds.values()) hold.stop(reason)
    },
    close: () => clearInterval(timer),
  }
}

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
  stopped(): StopReason | undefined
  /** Renews it no more. A renewal that is under way is waited for: it could take back a lease that is given up next. */
  end(): Promise<void>
}

export interface Lease {
  hold(fence: Fence): Hold
  cancel(ids: string[]): void
  stopAll(reason: StopReason): void
  close(): void
}

interface LeaseOptions {
  db: Database
  worker: string
  leaseSeconds: number
  onError: (error: unknown) => void
}
