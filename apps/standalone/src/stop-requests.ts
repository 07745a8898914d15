/**
 * Millrace is asked to stop by Ctrl-C, by a signal, by closing the terminal, or by the death of the launcher, whose
 * channel then closes. The handlers stay for good: any default would end this process at once and leave the database
 * server, which has a session of its own, running without anybody to stop it.
 */
export function listenForStop(): StopRequests {
  const stop = new AbortController()
  const hurry = new AbortController()
  let firstAt: number | undefined

  function request(): void {
    firstAt ??= performance.now()
    stop.abort()
  }
  function press(): void {
    request()
    if (firstAt !== undefined && performance.now() - firstAt >= samePressMs) hurry.abort()
  }
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, press)
  process.on('SIGHUP', request)
  if (process.connected === false) request() // the launcher was gone before this ran
  process.on('disconnect', request)
  // A terminal that was closed, or a `| head` that has read enough, takes no more text. The log file has it all.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
  return { stop: stop.signal, hurry: hurry.signal }
}

/** One press arrives several times: at every process of the terminal's group, and again from npm and the launcher. */
const samePressMs = 1_000

export interface StopRequests {
  stop: AbortSignal
  /** Somebody pressed again: an orderly end takes too long. */
  hurry: AbortSignal
}
