import type { Status } from '@millrace/contract/statuses'
import type { Database } from '@millrace/database/connect'
import { newId } from '@millrace/database/ids'
import { accept, type Draft } from '@millrace/lifecycle/accept'
import { begin } from '@millrace/lifecycle/begin'
import { claim, type Fence } from '@millrace/lifecycle/claim'
import type { Lifecycle } from '@millrace/lifecycle/lifecycle'
import { type Ending, settle } from '@millrace/lifecycle/settle'

/** The moves on a bare database: links that need no key. */
export function lifecycleOn(db: Database): Lifecycle {
  return {
    db,
    links: { publicUrl: 'http://millrace.test', file: ({ id }) => `http://millrace.test/files/${id}` },
  }
}

/** A prediction that is ready to be accepted, of an account and a model of its own. */
export function draft(given: Partial<Draft> = {}): Draft {
  const id = newId()
  return {
    id,
    accountId: newId(),
    model: `model-${id}`,
    modelType: 'text',
    pool: 'default',
    stream: false,
    source: 'api',
    input: { text: 'hello' },
    sealedInput: null,
    webhook: null,
    tags: {},
    files: [],
    timeouts: { start: 600, run: 600 },
    priority: 'normal',
    runAt: null,
    expiresIn: null,
    autoFallback: true,
    retention: null,
    createdAt: new Date(),
    idempotency: null,
    ...given,
  }
}

/** A prediction brought to a status the way the service brings it there. Answers its fence and its draft. */
export async function givenPrediction(
  db: Database,
  status: Status,
  given: Partial<Draft> = {},
): Promise<Fence & { draft: Draft }> {
  const lifecycle = lifecycleOn(db)
  const made = draft(given)
  await accept(lifecycle, [made])
  if (status === 'pending') return { id: made.id, attempt: 0, draft: made }
  const fence = await claimed(db, made.model)
  if (status === 'processing' || status === 'succeeded') await begin(lifecycle, [fence])
  const ending = endings(fence)[status]
  if (ending) await settle(lifecycle, [ending])
  return { ...fence, draft: made }
}

/** Claims the one run of a model. */
export async function claimed(db: Database, model: string): Promise<Fence> {
  const [held] = await claim(lifecycleOn(db), { model, limit: 1, worker: 'a-worker', leaseSeconds: 60 })
  if (!held) throw new Error(`nothing to claim of ${model}`)
  return { id: held.id, attempt: held.attempt }
}

/** One ending of each kind under a fence. */
export function endings(fence: Fence): Partial<Record<Status, Ending>> {
  return {
    succeeded: { ...fence, verb: 'succeed', output: '"hello"', files: [] },
    failed: { ...fence, verb: 'fail', error: 'It broke', errorId: 'MODEL_ERROR' },
    cancelled: { ...fence, verb: 'cancel' },
  }
}
