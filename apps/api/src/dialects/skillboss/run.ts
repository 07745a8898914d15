import type { RunRequest } from '@millrace/contract/create-prediction'
import { endpoints } from '@millrace/contract/endpoints'
import { isTerminal } from '@millrace/contract/statuses'
import { databaseNow } from '@millrace/database/clock'
import { inferenceTag } from '@millrace/inference/inference-run'
import { type PredictionRow, present } from '@millrace/lifecycle/present'
import { ApiError } from '../../api-error.ts'
import type { Context } from '../../context.ts'
import { beginCreate, create } from '../../create.ts'
import { type CreditFields, creditFields, tellCharge } from '../../credits.ts'
import { findModel } from '../../draft-prediction.ts'
import { takeMore } from '../../enter-limits.ts'
import { failureOf } from '../../failure-of.ts'
import { refuseForbidden } from '../../permitted-models.ts'
import { answer, answered, route } from '../../route.ts'
import { streamEvents } from '../../stream-events.ts'
import { resultOf } from './result.ts'
import { checkForLater, inferenceOf, mostForLater, runAtOnce, wantsPrediction } from './run-at-once.ts'

/** One call runs any model: it creates a prediction, waits, and answers with its result or with a job to poll. */
export const run = route(endpoints.run, async (incoming) => {
  const { context, request, response, body, caller, hints } = incoming
  const model = context.catalogue.find(body.model)
  const inference = model && inferenceOf(model)
  if (inference && !wantsPrediction(incoming)) return runAtOnce(incoming, inference, inputOf(body))
  const later = startsLater(body)
  const begun = await beginCreate(incoming, body.model)
  const made = async () => {
    if (inference) {
      refuseForbidden(caller, model)
      await takeMore(begun.entry, () => checkForLater(incoming, inference, inputOf(body)))
    }
    const { inputs: _inputs, input: _input, async: _async, ...wishes } = body
    const waitSeconds =
      inference || later || body.stream || isAsync(context, body, request.get('prefer'))
        ? 0
        : context.config.AWAIT_SECONDS
    return create({
      ...incoming,
      ...(inference && !begun.replay ? { inference: mostForLater(model, inference, inputOf(body)) } : {}),
      body: { ...wishes, input: inputOf(body), ...(inference ? { tags: { ...body.tags, ...asRun } } : {}) },
      api: 'any',
      waitSeconds,
      begun,
    })
  }
  const { row } = await made().catch((error: unknown) => {
    begun.entry?.leave()
    throw error
  })
  if (body.stream && !later && !inference) {
    await streamEvents(context, caller, row, request, response)
    return answered
  }
  const tip = hints.length > 0 ? { _tip: hints.join(' ') } : {}
  const also = { ...tip, ...creditFields(context, await tellCharge(context, response, row)) }
  return isTerminal(row.status) ? finished(context, row, also) : accepted(context, row, also)
})

/** The tag by which its worker has it answered by inference. */
const asRun = { [inferenceTag]: 'run' }

function inputOf({ inputs, input }: RunRequest): Record<string, unknown> {
  const given = inputs ?? input
  if (given) return given
  throw new ApiError('INVALID_INPUT', 'inputs: is required.', {
    fields: [{ path: 'inputs', message: 'is required' }],
  })
}

/** Nobody is kept waiting, by a stream neither, for what is not to begin yet. */
function startsLater({ run_at: runAt }: RunRequest): boolean {
  return runAt !== undefined && Date.parse(runAt) > databaseNow()
}

function isAsync(context: Context, body: RunRequest, prefer = ''): boolean {
  return (
    body.async === true || /respond-async/i.test(prefer) || findModel(context, body.model).type === 'video'
  )
}

function accepted(context: Context, row: PredictionRow, also: Also): unknown {
  const { id, model } = present(row, context.links)
  const pollUrl = `${context.config.PUBLIC_URL}/v1/job/${id}`
  return answer(202, { status: 'accepted', job_id: id, poll_url: pollUrl, model: model.name, ...also })
}

function finished(context: Context, row: PredictionRow, also: Also): unknown {
  const prediction = present(row, context.links)
  if (prediction.status === 'succeeded') {
    return answer(200, { ...resultOf(prediction), id: prediction.id, model: prediction.model.name, ...also })
  }
  throw failureOf(prediction)
}

/** Clients of this dialect show their user the tip. */
type Also = CreditFields & { _tip?: string }
