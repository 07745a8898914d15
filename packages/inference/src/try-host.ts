import type { Aim, HostWatch } from '@millrace/hosts/host-watch'
import type { BackendCall } from './backend.ts'
import type { Deadlines, TryTime } from './deadlines.ts'
import { InferenceFault } from './fault.ts'
import type { Host } from './hosts-of.ts'
import type { RouteReport, Try } from './route-report.ts'

/**
 * Asks one host once, and writes down what came of it: in the report, and with its breaker. The try is over when `perform`
 * is, unless that says by `lasts` that its answer goes on. Throws what `perform` throws.
 */
export async function tryHost<T>(trial: Trial<T>): Promise<T> {
  const { host, aim, model, watch, deadlines, report, requestId, firstMs, leave } = trial
  const began = performance.now()
  const entry: Try = { model, host: host.backend.host, ms: 0 }
  report.tries.push(entry)
  const time = deadlines.begin(firstMs)
  let isLasting = false
  let isHeard = false

  function hear(heard: Parameters<HostWatch['heard']>[1]): void {
    const first = !isHeard
    isHeard = true
    void watch.heard(host.name, heard, { began, aim: first ? aim : 'well' })
  }

  function end(error?: unknown): void {
    entry.ms = performance.now() - began
    time.end()
    leave()
    if (error instanceof InferenceFault) {
      const { errorId, message, about } = error
      entry.fault = { errorId, message, cause: about.cause }
      hear(heardOf(error))
    } else if (error !== undefined) {
      entry.abandoned = true
      if (!isHeard) hear({ kind: 'aborted' })
    }
  }

  const call = {
    signal: time.signal,
    requestId,
    onSkipped: (lines: number) => {
      entry.skipped = lines
    },
  }
  try {
    const answer = await trial.perform(host, call, {
      ...time,
      lasts() {
        isLasting = true
        return end
      },
    })
    time.hasBegun()
    entry.firstMs = performance.now() - began
    report.served = { model, host: host.backend.host }
    hear({ kind: 'succeeded' })
    if (!isLasting) end()
    return answer
  } catch (error) {
    end(error)
    throw error
  }
}

/** Refusing a request is a service as well: the host is there. */
function heardOf({ message, about }: InferenceFault): Parameters<HostWatch['heard']>[1] {
  const { elsewhere, down, busy, cause } = about
  if (!elsewhere) return { kind: 'failed' }
  const reason = cause instanceof Error ? cause.message : message
  return down || busy ? { kind: 'unavailable', reason, down, busy } : { kind: 'aborted' }
}

export interface Trial<T> {
  host: Host
  aim: Aim
  /** Its slug. */
  model: string
  watch: HostWatch
  deadlines: Deadlines
  report: RouteReport
  requestId: string
  /** Milliseconds. */
  firstMs: number | undefined
  /** Gives its place back. */
  leave(): void
  perform: Perform<T>
}

/** Asks the host. `lasts` says that the answer goes on, and gives what to call at its end. */
export type Perform<T> = (
  host: Host,
  call: BackendCall,
  time: TryTime & { lasts(): (error?: unknown) => void },
) => Promise<T>
