import { readRules } from '@millrace/accounts/read-rules'
import { itemsUntil } from '@millrace/activity/turns'
import { allowsModel } from '@millrace/contract/model-rules'
import type { Database } from '@millrace/database/connect'
import { toTypeId } from '@millrace/database/ids'
import type { HostWatch } from '@millrace/hosts/host-watch'
import type { InferenceRun } from '@millrace/inference/inference-run'
import { keepModules } from '@millrace/inference/keep-modules'
import { createModeration } from '@millrace/inference/moderation'
import type { ResponsesRequest } from '@millrace/inference/responses/request'
import { createRouter, type RouteCall } from '@millrace/inference/route'
import { newRouteReport } from '@millrace/inference/route-report'
import { passAll } from '@millrace/inference/safety'
import type { Claim } from '@millrace/lifecycle/claim'
import type { Log } from '@millrace/process/log'
import type { Outcome, RunEvent } from '@millrace/providers/provider'
import { answerCall } from './answer-call.ts'
import { answerTurn } from './answer-turn.ts'
import type { Config } from './config.ts'
import { outcomeOfFault } from './inference-outcome.ts'
import { maxInlineBytes } from './outputs.ts'
import type { ServedModel, ServedModels } from './worker.ts'

/**
 * Predictions that are answered by inference: over the same hosts and fallbacks as a request that somebody waits for, in
 * the same turns, with the same breaker.
 */
export function openInferenceRuns({ config, db, models, hosts, log }: Options): InferenceRuns {
  const modules = keepModules()
  models.listen(() => modules.keepOnly([...models.values()].map(({ description }) => description)))
  const router = createRouter({
    watch: hosts,
    describe: (slug) => models.describe(slug),
    openOther: (model) => modules.of(model),
    variable: (name) => config.hostSettings[name],
  })
  const { url: baseUrl, apiKey, model: safetyModel } = config.safety
  const safety = baseUrl === undefined ? passAll : createModeration({ baseUrl, apiKey, model: safetyModel })

  return {
    async run(kind, { claim, model, signal, emit }) {
      const began = performance.now()
      const report = newRouteReport()
      const requestId = toTypeId('pred', claim.id)
      emit({ kind: 'ready' })
      try {
        const allowed = await fallbacksOf(db, claim, model)
        const call = { signal, requestId, report, ...allowed }
        const countsTokens = claim.price?.unit === 'token'
        const { stream: streams } = claim.row
        const asking = { router, safety, model: model.description, call, countsTokens, streams, emit }
        const output =
          kind === 'run'
            ? await answerCall(asking, claim.row.input)
            : await answerTurn(asking, await turnOf(db, claim))
        if (output === undefined) return gone
        if (Buffer.byteLength(JSON.stringify(output)) > maxInlineBytes) return tooLarge
        return { kind: 'succeeded', output, predictSeconds: (performance.now() - began) / 1000 }
      } catch (error) {
        if (signal.aborted) return { kind: 'aborted' }
        log.warn({ err: error, prediction: requestId, tries: report.tries }, 'inference failed')
        return outcomeOfFault(error)
      }
    },
    async close() {
      await Promise.all([router.close(), modules.close()])
    },
  }
}

/** Which fallbacks may stand in. Who has none is not looked up. */
async function fallbacksOf(
  db: Database,
  { autoFallback, row }: Claim,
  { description }: ServedModel,
): Promise<Pick<RouteCall, 'allowFallbacks' | 'allows'>> {
  if (!autoFallback || description.fallbacks.length === 0) return { allowFallbacks: false }
  const { rules } = await readRules(db, row.account_id, row.key_id)
  return { allows: (next) => allowsModel(rules, next) }
}

async function turnOf(db: Database, { id, row }: Claim) {
  const request = row.input as ResponsesRequest
  const { previous_response_id: previousId } = request
  const previous = previousId ? await itemsUntil(db, row.account_id, previousId) : []
  return { id, row, request, previous }
}

/** Its object could not be shown. */
const tooLarge: Outcome = {
  kind: 'failed',
  code: 'INVALID_OUTPUT',
  detail: `The answer is larger than ${maxInlineBytes >> 20} MB.`,
}

const gone: Outcome = {
  kind: 'failed',
  code: 'MODEL_ERROR',
  detail: 'The response that this one goes on from is not stored any more.',
}

/** See `openInferenceRuns`. */
export interface InferenceRuns {
  /** One attempt. Throws nothing. */
  run(kind: InferenceRun, attempt: InferenceAttempt): Promise<Outcome>
  close(): Promise<void>
}

interface InferenceAttempt {
  claim: Claim
  model: ServedModel
  signal: AbortSignal
  emit(event: RunEvent): void
}

interface Options {
  config: Pick<Config, 'hostSettings' | 'safety'>
  db: Database
  models: ServedModels
  hosts: HostWatch
  log: Log
}
