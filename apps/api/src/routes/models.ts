import type { Caller } from '@millrace/accounts/api-keys'
import { endpoints } from '@millrace/contract/endpoints'
import type { ModelHealth } from '@millrace/contract/model'
import { readHosts } from '@millrace/hosts/hosts'
import { waitingIn } from '@millrace/lifecycle/line'
import { summaryOf } from '@millrace/lifecycle/run-times'
import type { ModelDescription } from '@millrace/models/description'
import { type PresentedModel, presentModel, type SchemaName } from '@millrace/models/present-model'
import { ApiError } from '../api-error.ts'
import type { Context } from '../context.ts'
import { inAnthropicShape, inOpenAiShape } from '../dialects/openai/models.ts'
import { findModel } from '../draft-prediction.ts'
import { hindranceOf } from '../hindrance.ts'
import { hostsOf, isElsewhere } from '../model-hosts.ts'
import { visibleModels } from '../overview/visible-models.ts'
import { refuseForbidden } from '../permitted-models.ts'
import { route } from '../route.ts'

export const listModels = route(endpoints.listModels, async ({ context, caller, query, request }) => {
  const schemas = schemasOf(query.fields)
  const models = visibleModels(context, caller).map((model) => presentModel(model, { schemas }))
  if (request.get('anthropic-version')) return inAnthropicShape(models)
  // OpenAI's clients send a bearer token and nothing else; a bare array would give them no models at all.
  return request.get('x-api-key') ? models : inOpenAiShape(models)
})

export const getModel = route(endpoints.getModel, async ({ context, caller, params, query, request }) => {
  const schemas = schemasOf(query.fields)
  const model = presentModel(usableModel(context, caller, params.slug), { schemas })
  if (request.get('anthropic-version')) return inAnthropicShape([model]).data[0]
  return shown(request.get('x-api-key') ? model : { ...model, ...inOpenAiShape([model]).data[0] }, schemas)
})

export const getModelHealth = route(endpoints.getModelHealth, async ({ context, caller, params }) => {
  const described = usableModel(context, caller, params.slug)
  const model = described.namespace
  const [line, hosts] = await Promise.all([
    context.lines.of(model),
    isElsewhere(described) ? readHosts(context.db) : [],
  ])
  const { waiting, capped } = waitingIn(line)
  return {
    model,
    status: line.workers > 0 ? 'operational' : 'offline',
    reason: hindranceOf(described, { workers: line.workers, hosts }),
    hosts: hostsOf(hosts, described, caller.scopes.includes('admin')),
    queue: { waiting, ...(capped ? { waiting_capped: true } : {}), running: line.running },
    workers: line.workers,
    run_time: summaryOf(line.runSeconds),
  } satisfies ModelHealth
})

function usableModel(context: Context, caller: Caller, slug: string): ModelDescription {
  const model = findModel(context, slug)
  refuseForbidden(caller, model)
  return model
}

/** Get-one has the schemas only when asked. */
function shown(model: PresentedModel, schemas: SchemaName[]): Partial<PresentedModel> {
  const hidden = (['input_schema', 'output_schema'] as const).filter((name) => !schemas.includes(name))
  return Object.fromEntries(Object.entries(model).filter(([name]) => !hidden.some((one) => one === name)))
}

function schemasOf(fields: string | undefined): SchemaName[] {
  return (fields?.split(',') ?? []).map((field) => {
    const name = field.trim()
    if (name === 'input_schema' || name === 'output_schema') return name
    const message = 'lists input_schema and output_schema'
    throw new ApiError('INVALID_PARAMETER', `fields ${message}.`, { fields: [{ path: 'fields', message }] })
  })
}
