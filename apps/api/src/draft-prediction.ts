import type { Caller } from '@millrace/accounts/api-keys'
import type { CreatePrediction } from '@millrace/contract/create-prediction'
import { newId, timeOfId } from '@millrace/database/ids'
import { seal } from '@millrace/keys/seal'
import type { Draft } from '@millrace/lifecycle/accept'
import type { ModelDescription } from '@millrace/models/description'
import { ApiError } from './api-error.ts'
import { checkWebhook } from './check-webhook.ts'
import type { Context } from './context.ts'
import { nearest } from './nearest.ts'
import { inputEnd, shortestRetention } from './shortest-retention.ts'
import { takeFiles } from './take-files.ts'

/**
 * Checks a create against the catalogue and makes what will be stored: defaults applied, secrets sealed, files taken.
 * Throws MODEL_NOT_FOUND, INVALID_INPUT, INVALID_WEBHOOK_URL, INVALID_FILE_URL, INVALID_PARAMETER.
 */
export async function draftPrediction(
  context: Context,
  caller: Caller,
  request: Omit<CreatePrediction, 'await'>,
  userAgent = '',
): Promise<Draft> {
  const model = findModel(context, request.model)
  const webhook = await checkWebhook(context.guard, request.webhook)
  const input = validInput(context, model, request.input)
  const { shown, sealedInput } = sealSecrets(context, model, input)
  const timeouts = timeoutsOf(model, request.timeouts)
  const retention = shortestRetention(
    request.retention ?? {},
    { files_days: model.retention.files, data_days: model.retention.data },
    caller.retention,
  )
  const id = newId()
  const owner = { accountId: caller.accountId, predictionId: id, until: inputEnd(retention, timeouts) }
  const { input: stored, files } = await takeFiles(context, owner, model, shown)
  return {
    id,
    accountId: caller.accountId,
    model: request.model,
    modelType: model.type,
    pool: model.pool,
    stream: request.stream ?? false,
    source: userAgent.startsWith('millrace-cli') ? 'cli' : 'api',
    input: stored,
    sealedInput,
    webhook,
    tags: request.tags ?? {},
    files,
    timeouts,
    retention,
    createdAt: new Date(timeOfId(id)),
    idempotency: null,
  }
}

/** The model of a slug. Throws MODEL_NOT_FOUND. */
export function findModel({ catalogue }: Context, slug: string): ModelDescription {
  const model = catalogue.models.get(slug)
  if (model) return model
  const meant = nearest(slug, catalogue.models.keys())
  const hint = meant === undefined ? '' : ` Did you mean "${meant}"?`
  throw new ApiError('MODEL_NOT_FOUND', `There is no model "${slug.slice(0, 200)}".${hint}`)
}

function validInput(context: Context, model: ModelDescription, given: unknown): Record<string, unknown> {
  const result = context.validators.get(model.namespace)?.(given)
  if (result?.ok) return result.input
  const fields = (result?.fields ?? []).map(({ path, message }) => ({
    path: path ? `input.${path}` : 'input',
    message,
  }))
  throw new ApiError('INVALID_INPUT', `The input does not fit the model "${model.namespace}".`, { fields })
}

/** Fields of `format: password` are stored sealed and shown masked. */
function sealSecrets(
  { keyRing }: Context,
  model: ModelDescription,
  input: Record<string, unknown>,
): { shown: Record<string, unknown>; sealedInput: Buffer | null } {
  const properties = (model.input_schema.properties ?? {}) as Record<string, { format?: unknown } | undefined>
  const secret = Object.entries(input).filter(([name]) => properties[name]?.format === 'password')
  if (secret.length === 0) return { shown: input, sealedInput: null }
  const masked = Object.fromEntries(secret.map(([name]) => [name, mask]))
  return {
    shown: { ...input, ...masked },
    sealedInput: seal(JSON.stringify(Object.fromEntries(secret)), keyRing.sealing),
  }
}

function timeoutsOf(model: ModelDescription, asked: CreatePrediction['timeouts']): Draft['timeouts'] {
  const { start, maxStart, run, maxRun } = model.timeouts
  for (const [name, limit] of [
    ['start', maxStart],
    ['run', maxRun],
  ] as const) {
    if ((asked?.[name] ?? 0) > limit) {
      const message = `must be at most ${limit} for this model`
      throw new ApiError('INVALID_PARAMETER', `timeouts.${name} ${message}.`, {
        fields: [{ path: `timeouts.${name}`, message }],
      })
    }
  }
  return { start: asked?.start ?? start, run: asked?.run ?? run }
}

const mask = '••••••••'
