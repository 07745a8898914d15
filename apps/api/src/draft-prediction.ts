import type { Caller } from '@millrace/accounts/api-keys'
import type { CreatePrediction } from '@millrace/contract/create-prediction'
import { databaseNow } from '@millrace/database/clock'
import { newId, timeOfId } from '@millrace/database/ids'
import { seal } from '@millrace/keys/seal'
import { type Asked, estimateOf } from '@millrace/ledger/estimate'
import { FormulaFault } from '@millrace/ledger/formula'
import { priceOf } from '@millrace/ledger/price'
import type { Draft } from '@millrace/lifecycle/accept'
import type { ModelDescription } from '@millrace/models/description'
import { nearest } from '@millrace/models/nearest'
import { ApiError } from './api-error.ts'
import { checkWebhook } from './check-webhook.ts'
import type { Context } from './context.ts'
import type { TokenEstimate } from './rates.ts'
import { inputEnd, shortestRetention } from './shortest-retention.ts'
import { takeFiles } from './take-files.ts'

/**
 * Checks a create against the catalogue and makes what will be stored: defaults applied, secrets sealed, files taken.
 * Throws MODEL_NOT_FOUND, SERVICE_UNAVAILABLE, INVALID_INPUT, INVALID_WEBHOOK_URL, INVALID_FILE_URL, INVALID_PARAMETER.
 */
export async function draftPrediction(
  context: Context,
  caller: Pick<Caller, 'accountId' | 'retention' | 'plan'> & { keyId?: string },
  request: Omit<CreatePrediction, 'await'>,
  { userAgent = '', id = newId(), inference, requestId }: DraftOptions = {},
): Promise<Draft> {
  const model = findModel(context, request.model)
  const runAt = startOf(request.run_at)
  checkVersion(model, request.version)
  const webhook = await checkWebhook(context.guard, request.webhook)
  const input = inference ? request.input : validInput(context, model, request.input)
  const { shown, sealedInput } = inference
    ? { shown: input, sealedInput: null }
    : sealSecrets(context, model, input)
  const timeouts = timeoutsOf(model, request.timeouts)
  const money = priceDraft(context, caller.plan, model, { input, timeouts, tokens: inference })
  const retention = shortestRetention(
    request.retention ?? {},
    { files_days: model.retention.files, data_days: model.retention.data },
    caller.retention,
  )
  const until = inputEnd(retention, { timeouts, runAt })
  const owner = { accountId: caller.accountId, predictionId: id, until }
  const { input: stored, files } = inference
    ? { input: shown, files: [] }
    : await takeFiles(context, owner, model, shown)
  return {
    id,
    accountId: caller.accountId,
    ...(caller.keyId === undefined ? {} : { keyId: caller.keyId }),
    ...(requestId === undefined ? {} : { requestId }),
    model: request.model,
    namespace: model.namespace,
    modelType: model.type,
    version: model.versionId,
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
    priority: request.priority ?? 'normal',
    runAt,
    expiresIn: request.expires_in ?? null,
    autoFallback: request.auto_fallback ?? true,
    createdAt: new Date(timeOfId(id)),
    idempotency: null,
    ...money,
  }
}

/** What it costs is decided now, whatever becomes of the model's price until it ends. */
function priceDraft(
  { config }: Context,
  { price_multiplier: multiplier }: Caller['plan'],
  model: ModelDescription,
  asked: Omit<Asked, 'model'>,
): Pick<Draft, 'hold' | 'price'> {
  const price = priceOf(model.pricing, asked.input, { multiplier, creditsPerUsd: config.CREDITS_PER_USD })
  if (price === null) return {}
  try {
    const hold = estimateOf(price, { ...asked, model })
    return hold > 0 ? { hold, price } : {}
  } catch (error) {
    if (!(error instanceof FormulaFault)) throw error
    throw new ApiError(
      'INVALID_INPUT',
      `The price of this input cannot be told: its formula ${error.message}.`,
      {
        fields: [{ path: 'input', message: 'has no price' }],
      },
    )
  }
}

/** The model of a slug, its own or an alias. Throws MODEL_NOT_FOUND. */
export function findModel({ catalogue }: Context, slug: string): ModelDescription {
  const model = catalogue.find(slug)
  if (model) return model
  const listed = [...catalogue.models.values()].filter(({ visibility }) => visibility === 'public')
  const meant = nearest(
    slug,
    listed.flatMap(({ namespace, aliases }) => [namespace, ...aliases]),
  )
  const hint = meant === undefined ? '' : ` Did you mean "${meant}"?`
  throw new ApiError('MODEL_NOT_FOUND', `There is no model "${slug.slice(0, 200)}".${hint}`)
}

/** Only the current state of a model can be run: who names another is told which one that is. */
function checkVersion({ namespace, version: label, versionId }: ModelDescription, wanted = 'latest'): void {
  if (wanted === 'latest' || wanted === versionId || wanted === label) return
  const current = label === undefined ? versionId : `${versionId} ("${label}")`
  throw new ApiError(
    'MODEL_NOT_FOUND',
    `The model "${namespace}" has no version "${wanted.slice(0, 200)}" here. Its current version is ${current}.`,
    { fields: [{ path: 'version', message: `must be ${current}, or latest` }] },
  )
}

function validInput(context: Context, model: ModelDescription, given: unknown): Record<string, unknown> {
  if (!model.statesInput) {
    const reason = `The model "${model.namespace}" has not told yet what it takes: its container cannot be reached.`
    throw new ApiError('SERVICE_UNAVAILABLE', reason, { details: 'Send the request again later.' })
  }
  const result = context.validatorOf(model)(given)
  if (result.ok) return result.input
  const fields = result.fields.map(({ path, message }) => ({
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

/** Not so late that the files of its input could be gone by then. */
function startOf(runAt: string | undefined): Date | null {
  if (runAt === undefined) return null
  // The database knows no year 0.
  const moment = new Date(Math.max(0, Date.parse(runAt)))
  if (moment.getTime() <= databaseNow() + latestStartDays * 86_400_000) return moment
  const message = `must be at most ${latestStartDays} days from now`
  throw new ApiError('INVALID_PARAMETER', `run_at ${message}.`, { fields: [{ path: 'run_at', message }] })
}

interface DraftOptions {
  userAgent?: string | undefined
  id?: string | undefined
  /** Its input is a request for inference, of so many tokens at most, and none of the model's own schema. */
  inference?: TokenEstimate | undefined
  /** Of the request that asks for it. */
  requestId?: string | undefined
}

const latestStartDays = 14

const mask = '••••••••'
