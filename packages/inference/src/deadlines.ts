import { timedOut } from './host-faults.ts'

/**
 * The times of one request: of all tries together, and of the try at hand. `signal` fires when the client has gone or
 * the time of all tries is over, a try's own then and when its own time is.
 */
export function createDeadlines(client: AbortSignal, totalMs: number): Deadlines {
  const all = new AbortController()
  const gone = () => all.abort(client.reason)
  const timer = setTimeout(() => {
    all.abort(timedOut('The answer took longer than its time limit.', { down: false }))
  }, totalMs)
  if (client.aborted) gone()
  else client.addEventListener('abort', gone, { once: true })

  return {
    signal: all.signal,
    begin(firstMs) {
      const own = new AbortController()
      const stop = () => own.abort(all.signal.reason)
      if (all.signal.aborted) stop()
      else all.signal.addEventListener('abort', stop, { once: true })
      const late = () => own.abort(timedOut('The model did not begin to answer in time.', { down: true }))
      const first = firstMs === undefined ? undefined : setTimeout(late, firstMs)
      return {
        signal: own.signal,
        abort: (reason) => own.abort(reason),
        hasBegun: () => clearTimeout(first),
        end() {
          clearTimeout(first)
          all.signal.removeEventListener('abort', stop)
        },
      }
    },
    end() {
      clearTimeout(timer)
      client.removeEventListener('abort', gone)
    },
  }
}

export interface Deadlines {
  signal: AbortSignal
  /** Milliseconds until it has to have begun; without end where there are none. */
  begin(firstMs: number | undefined): TryTime
  end(): void
}

/** The time of one try. */
export interface TryTime {
  signal: AbortSignal
  abort(reason: unknown): void
  /** The first chunk is there, or all of it. */
  hasBegun(): void
  end(): void
}
