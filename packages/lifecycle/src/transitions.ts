import type { Status } from '@millrace/contract/statuses'
import type { PredictionEventName } from '@millrace/contract/webhook-events'

/**
 *   pending ─ claim ─▶ starting ─ begin ─▶ processing ─ succeed ─▶ succeeded
 *      │                  │                    │
 *      └────── fail ──────┴─────── fail ───────┴─────▶ failed
 *      └───── cancel ─────┴────── cancel ──────┴─────▶ cancelled
 *
 * `start` is claim and begin in one move, where the model is warm: pending becomes processing.
 * `reclaim` runs a prediction again whose worker was lost: the attempt rises, what the user sees stays.
 * The trigger `predictions_only_forward` holds the same list; a test compares the two.
 */
export const transitions = {
  claim: { from: ['pending'], to: 'starting', event: 'prediction.starting' },
  reclaim: { from: ['starting', 'processing'], to: 'same', event: null },
  start: { from: ['pending'], to: 'processing', event: 'prediction.started' },
  begin: { from: ['starting'], to: 'processing', event: 'prediction.started' },
  succeed: { from: ['processing'], to: 'succeeded', event: 'prediction.succeeded' },
  fail: { from: ['pending', 'starting', 'processing'], to: 'failed', event: 'prediction.failed' },
  cancel: { from: ['pending', 'starting', 'processing'], to: 'cancelled', event: 'prediction.cancelled' },
} as const satisfies Record<string, Transition>

export interface Transition {
  from: readonly Status[]
  to: Status | 'same'
  event: PredictionEventName | null
}

export type Verb = keyof typeof transitions
