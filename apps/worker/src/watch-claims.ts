import type { Database } from '@millrace/database/connect'
import { findWaiting } from '@millrace/lifecycle/waiting'
import type { Log } from '@millrace/process/log'
import { gauge } from '@millrace/process/metrics'
import type { Claimer } from './claim-runs.ts'

/**
 * Finds out when this worker is connected and yet takes nothing: at two looks in a row runs that it serves had been
 * free to claim for over ten seconds, it had slots for them, and it claimed none in between. It says so, and claims
 * without waiting for a bell: should only the bells be lost, that is the end of it. A look is one small statement, and
 * there is none while no slot is free.
 */
export function watchClaims(db: Database, claimer: Claimer, log: Log): ClaimWatch {
  let claimedBefore = claimer.claimed()
  let hungry = false
  let starving = false

  async function look(): Promise<void> {
    const models = await waitingFor(claimer.idleModels())
    const hasClaimed = claimer.claimed() !== claimedBefore
    claimedBefore = claimer.claimed()
    const wasHungry = hungry
    hungry = models.length > 0 && !hasClaimed
    tell(hungry && wasHungry, models)
    if (starving) void claimer.wake(...models)
  }

  async function waitingFor(idle: string[]): Promise<string[]> {
    return idle.length === 0 ? [] : findWaiting(db, idle, patienceSeconds)
  }

  function tell(now: boolean, models: string[]): void {
    if (now && !starving)
      log.error({ models }, 'this worker has free slots and claims nothing, although runs wait for it')
    if (!now && starving) log.info('this worker claims again')
    starving = now
    starvation.set(Number(now))
  }

  const stop = repeat(look, (err) => log.warn({ err }, 'it cannot be told whether runs wait'))
  return { starving: () => starving, stop }
}

/** The next look begins when the one before is over, so that a slow database is not asked twice. */
function repeat(look: () => Promise<void>, onError: (error: unknown) => void): () => void {
  let timer: NodeJS.Timeout | undefined
  let stopped = false
  const next = () => {
    if (!stopped) timer = setTimeout(() => void look().catch(onError).finally(next), betweenLooksMs)
  }
  next()
  return () => {
    stopped = true
    clearTimeout(timer)
  }
}

/** A bell is answered within milliseconds, and the sweeper rings again after a second. */
const patienceSeconds = 10
const betweenLooksMs = 5_000

const starvation = gauge(
  'millrace_worker_starving',
  '1 while runs wait that this worker has slots for and does not claim; else 0.',
)

export interface ClaimWatch {
  /** Whether runs wait that this worker should have claimed. */
  starving(): boolean
  stop(): void
}
