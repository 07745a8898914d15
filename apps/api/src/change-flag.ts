import type { Context } from './context.ts'

/** A flag that changes raise: cleared before a read, waited for after it, so that no change falls in between. */
export function changeFlag(
  context: Context,
  id: string,
  gone: AbortSignal,
): { clear(): void; wait(): Promise<void>; stop(): void } {
  let raised = false
  let wake = () => {}
  const stop = context.changes.watch(id, () => {
    raised = true
    wake()
  })
  gone.addEventListener('abort', () => wake(), { once: true })
  return {
    clear: () => {
      raised = false
    },
    wait: () =>
      new Promise((resolve) => {
        wake = resolve
        if (raised || gone.aborted) resolve()
      }),
    stop,
  }
}
