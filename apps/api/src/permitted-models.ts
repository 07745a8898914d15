import type { Caller } from '@millrace/accounts/api-keys'
import { allowsModel } from '@millrace/contract/model-rules'
import type { ModelDescription } from '@millrace/models/description'
import { ApiError } from './api-error.ts'

/** Whether the plan and the key may use a model. */
export function mayUse({ plan, models }: Rules, model: ModelDescription): boolean {
  return allowsModel([plan.models, models], model)
}

/** Throws MODEL_FORBIDDEN where they may not. */
export function refuseForbidden(rules: Rules, model: ModelDescription): void {
  if (mayUse(rules, model)) return
  throw new ApiError('MODEL_FORBIDDEN', `The model "${model.namespace}" may not be used with this key.`, {
    fields: [{ path: 'model', message: 'may not be used with this key' }],
  })
}

/** What says which models may be used. */
export type Rules = Pick<Caller, 'plan' | 'models'>
