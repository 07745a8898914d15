import { requestCancel } from '@millrace/lifecycle/cancel'
import type { Context } from './context.ts'

/** Asks for the end of a prediction, and tells everybody who must know. Answers `asked` while a worker has to obey. */
export async function cancelRun(
  { lifecycle, queue }: Context,
  id: string,
): Promise<Awaited<ReturnType<typeof requestCancel>>> {
  const result = await requestCancel(lifecycle, id)
  if (result === 'asked') queue.signal('cancel', [id])
  if (result === 'settled') {
    queue.signal('changed', [id])
    queue.signal('due', [id])
  }
  return result
}
