import { isRecord } from '@millrace/models/is-record'
import { Failed, Unavailable } from './faults.ts'

/** Reads what a container says of a prediction. Throws Failed where it is no prediction at all. */
export function snapshotIn(body: unknown): Snapshot {
  if (!isSnapshot(body)) throw new Failed('The container answered with something that is no prediction.')
  return body
}

/** Whether a body has the shape of a prediction. */
export function isSnapshot(body: unknown): body is Snapshot {
  return isRecord(body) && typeof body.status === 'string' && statuses.has(body.status)
}

/** Whether the prediction has ended. */
export function isOver({ status }: Snapshot): boolean {
  return status !== 'starting' && status !== 'processing'
}

/** It was cancelled there, and not by this run. */
export class CancelledThere extends Unavailable {
  constructor() {
    super('The container cancelled the run.', { uncertain: true })
  }
}

const statuses: ReadonlySet<string> = new Set(['starting', 'processing', 'succeeded', 'failed', 'canceled'])

/** A prediction as a container tells of it: in answers, in webhooks, and when a stream ends. */
export interface Snapshot {
  id?: unknown
  status: 'starting' | 'processing' | 'succeeded' | 'failed' | 'canceled'
  output?: unknown
  logs?: unknown
  error?: unknown
  metrics?: unknown
}
