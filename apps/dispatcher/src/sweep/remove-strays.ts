import { databaseNow } from '@millrace/database/clock'
import { KeptFilesError, removeStrays } from '@millrace/storage/files'
import type { PurgeContext } from './purge.ts'
import type { SweepReport } from './sweep.ts'

/**
 * Removes bytes that no row owns, a part of the store at a time. They may lie there for as long as a file lives, far
 * longer than any row can be on its way, and long enough to notice that a dispatcher was given another service's store.
 */
export function createStrayRemoval({
  db,
  store,
  retention,
}: PurgeContext): () => Promise<SweepReport | undefined> {
  // Lost at a restart, which costs one more walk.
  let part: string | undefined

  return async () => {
    const before = new Date(databaseNow() - retention.fileDays * 86_400_000)
    const { removed, kept, next } = await removeStrays(db, store, part, before)
    part = next
    if (kept.length > 0) throw new KeptFilesError(kept)
    return removed > 0 ? { strays: removed } : undefined
  }
}
