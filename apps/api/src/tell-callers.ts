import type { Context } from './context.ts'

/** Has every process look anew at the callers of these keys, accounts or plans; `ids` as in `Callers.forget`. */
export function tellCallers({ callers, queue }: Pick<Context, 'callers' | 'queue'>, ids: string[]): void {
  callers.forget(ids)
  queue.signal('keys', ids)
}
