import type { ModelDescription } from '@millrace/models/description'
import type { Context } from '../context.ts'
import { mayUse, type Rules } from '../permitted-models.ts'

/** The models that lists name, to a caller those that may be used. */
export function visibleModels({ catalogue }: Pick<Context, 'catalogue'>, rules?: Rules): ModelDescription[] {
  const all = [...catalogue.models.values()].filter(({ visibility }) => visibility === 'public')
  return rules ? all.filter((model) => mayUse(rules, model)) : all
}
