/**
 * Resolves once, when this process should drain: on SIGTERM, SIGINT or SIGHUP and, for a supervised child, when the supervisor's
 * pipe closes. That last one is how children of a supervisor that was killed with -9 still go: nobody is left to signal them.
 */
export function untilSignal({ supervised = false }: { supervised?: boolean } = {}): Promise<StopReason> {
  return new Promise((resolve) => {
    process.once('SIGTERM', () => resolve('SIGTERM'))
    for (const signal of ['SIGINT', 'SIGHUP'] as const) {
      // A terminal sends them to the whole process group; under a supervisor the order of stopping is the supervisor's.
      if (supervised) process.on(signal, () => {})
      else process.once(signal, () => resolve(signal))
    }

    if (!supervised) return
    process.stdin.on('error', () => resolve('SIGTERM'))
    process.stdin.once('close', () => resolve('SIGTERM'))
    process.stdin.once('end', () => resolve('SIGTERM'))
    process.stdin.resume()
    process.stdin.unref?.()
  })
}

export type StopReason = 'SIGTERM' | 'SIGINT' | 'SIGHUP'
