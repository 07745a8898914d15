/**
 * Keeps a part of BullMQ's that could connect. On Postgres it remembers for good that its first connect failed, so such
 * a one is thrown away and another one made. Errors are reported and nothing rejects.
 */
export function connectSurely<Part extends Connecting>(
  make: () => Part,
  report: (error: unknown) => void,
): Connected<Part> {
  let closed = false
  let timer: NodeJS.Timeout | undefined
  let current = open()

  function open(): Part {
    const part = make()
    part.on('error', report)
    part.waitUntilReady().catch((error: unknown) => {
      if (closed) return
      report(error)
      void part.close().catch(report)
      timer = setTimeout(() => {
        current = open()
      }, againMs)
    })
    return part
  }

  return {
    current: () => current,
    async close() {
      closed = true
      clearTimeout(timer)
      await current.close().catch(report)
    },
  }
}

const againMs = 1_000

interface Connecting {
  on(event: 'error', listener: (error: unknown) => void): unknown
  waitUntilReady(): Promise<unknown>
  close(): Promise<unknown>
}

export interface Connected<Part> {
  /** The one to use now; it may not be connected yet. */
  current(): Part
  close(): Promise<void>
}
