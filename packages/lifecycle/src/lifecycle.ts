import type { Database } from '@millrace/database/connect'
import type { Links } from './present.ts'

/** What every move needs: the store of record, and how links inside webhook bodies are written. */
export interface Lifecycle {
  db: Database
  links: Links
}

/** Workers that may die under a prediction before it fails with WORKER_LOST. */
export const maxAttempts = 3
