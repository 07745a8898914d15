/**
 * A signal that fires a while after another: for what has to be said or heard although the run is over, such as that a
 * job is to be cancelled, or what a job is called that was just asked for.
 */
export function lingering(signal: AbortSignal, ms = 10_000): AbortSignal {
  const late = new AbortController()
  const wait = () => void setTimeout(() => late.abort(signal.reason), ms).unref()
  if (signal.aborted) wait()
  else signal.addEventListener('abort', wait, { once: true })
  return late.signal
}
