import { type ReadRules, readRules } from '@millrace/accounts/read-rules'
import { allowsModel } from '@millrace/contract/model-rules'
import { passOn } from '@millrace/lifecycle/pass-on'
import { findWorkers } from '@millrace/lifecycle/workers'
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
  // An inference has asked the fallbacks already.
  if (run.inference) return undefined
  const next = await nextFallback(worker, run)
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

async function nextFallback(worker: Worker, run: Run): Promise<ModelDescription | undefined> {
  const { row, autoFallback } = run.claim
  const asked = worker.models.describe(row.model)
  if (!autoFallback || !asked) return undefined
  if (asked.fallbacks.length === 0) return undefined
  const input = withSecrets(worker, run.claim)
  const { db } = worker.lifecycle
  const { rules } = await outlast(worker.log, () => readRules(db, row.account_id, row.key_id))
  const { namespace } = run.model.description
  const candidates = asked.fallbacks.map((name) => ({ name, next: worker.models.describe(name) }))
  // From the first one on where the model serves that was asked for; a file may have dropped the one that serves.
  const current = candidates.findIndex(({ next }) => next?.namespace === namespace)
  if (current === -1 && namespace !== asked.namespace) return undefined
  for (const { name, next } of candidates.slice(current + 1)) {
    const reason = next
      ? (whyNot(asked, next, input, rules) ?? (await whyUnserved(worker, next)))
      : 'there is no such model'
    if (reason === undefined) return next
    run.events.log(`${name} cannot serve in its place: ${reason}.\n`)
  }
  return undefined
}

/** In the line of a model that nobody serves it would wait for ever. */
async function whyUnserved(worker: Worker, { namespace }: ModelDescription): Promise<string | undefined> {
  if (worker.models.has(namespace)) return undefined
  const workers = await outlast(worker.log, () => findWorkers(worker.lifecycle.db, namespace))
  return workers.length > 0 ? undefined : 'no worker serves it now'
}

function whyNot(
  asked: ModelDescription,
  next: ModelDescription,
  input: Record<string, unknown>,
  rules: ReadRules['rules'],
): string | undefined {
  if (next.namespace === asked.namespace) return 'it is the model itself'
  if (next.type !== asked.type) return `it makes ${next.type}, not ${asked.type}`
  if (next.service.type === 'partner' && asked.service.type === 'native' && !asked.partnerFallbacks)
    return 'what was sent may not leave this installation'
  if (!allowsModel(rules, next)) return 'who asked may not use it'
  if (!next.apis.includes('predictions')) return 'it serves no predictions'
  const result = checkInput(next, input)
  if (result.ok) return undefined
  const fields = result.fields.map(({ path, message }) => `${path || 'input'} ${message}`)
  return `the input does not fit it (${fields.slice(0, 5).join('; ')})`
}
