import type { Database } from '@millrace/database/connect'
import type { PartitionWidth } from '@millrace/database/partitions'
import type { Links } from './present.ts'

/** What every move needs: the store of record, and how links inside webhook bodies are written. */
export interface Lifecycle {
  db: Database
  links: Links
  /** How wide partitions are, for making one that is missing; months unless told otherwise. */
  partitions?: PartitionWidth
  /** Below how many micros a balance is called low; as usual unless told otherwise. */
  balanceWarning?: number
}

/** Workers that may die under a prediction before it fails with WORKER_LOST. */
export const maxAttempts = 3

/** Says of a prediction of a model with effects outside that it is not run again. */
export const unknownOutcome =
  'The worker was lost under this prediction. Whether its effects took place is not known, and its model is never run twice: look before you create it again.'
