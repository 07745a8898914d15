import { passOn } from '@millrace/lifecycle/pass-on'
import type { ModelDescription } from '@millrace/models/description'
import { checkInput, withSecrets } from './input-values.ts'
import { outlast } from './outlast.ts'
import type { Settlement } from './part-with-run.ts'
import type { Run } from './run.ts'
import type { Worker } from './worker.ts'

/**
 * Gives a run whose model is unavailable to the next fallback of the model that was asked for: its run waits in that
 * one's line from now on, for a worker that serves it. Undefined when there is none that may and can serve it.
 */
export async function fallBack(worker: Worker, run: Run): Promise<Settlement | undefined> {
  const next = nextFallback(worker, run)
  if (!next) return undefined
  const { id, attempt } = run.claim
  const { namespace, pool } = next
  run.events.log(`${run.model.description.namespace} is unavailable; ${namespace} serves in its place.\n`)
  await run.events.flushed()
  await run.hold.end()
  const moved = await outlast(worker.log, () =>
    passOn(worker.lifecycle.db, worker.config.name, { id, attempt }, { model: namespace, pool }),
  )
  // Also when it was not ours to give: after a cut connection that may be this very move.
  worker.queue.ring(pool, namespace)
  worker.queue.signal('changed', [id])
  return { result: moved ? 'passed on' : 'superseded' }
}

function nextFallback(worker: Worker, run: Run): ModelDescription | undefined {
  const { row, autoFallback } = run.claim
  const asked = worker.models.describe(row.model)
  if (!autoFallback || !asked) return undefined
  const input = withSecrets(worker, run.claim)
  // -1, and so from the first one on, where the model serves that was asked for.
  const current = asked.fallbacks.indexOf(run.model.description.namespace)
  for (const name of asked.fallbacks.slice(current + 1)) {
    const next = worker.models.describe(name)
    const reason = next ? whyNot(asked, next, input) : 'there is no such model'
    if (reason === undefined) return next
    run.events.log(`${name} cannot serve in its place: ${reason}.\n`)
  }
  return undefined
}

function whyNot(
  asked: ModelDescription,
  next: ModelDescription,
  input: Record<string, unknown>,
): string | undefined {
  if (next.namespace === asked.namespace) return 'it is the model itself'
  if (next.type !== asked.type) return `it makes ${next.type}, not ${asked.type}`
  if (next.service.type === 'partner' && asked.service.type === 'native' && !asked.partnerFallbacks)
    return 'what was sent may not leave this installation'
  if (!next.apis.includes('predictions')) return 'it serves no predictions'
  const result = checkInput(next, input)
  if (result.ok) return undefined
  const fields = result.fields.map(({ path, message }) => `${path || 'input'} ${message}`)
  return `the input does not fit it (${fields.slice(0, 5).join('; ')})`
}
