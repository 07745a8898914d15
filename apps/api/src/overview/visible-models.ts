import type { ModelDescription } from '@millrace/models/description'
import type { Context } from '../context.ts'

/** The models that lists name. */
export function visibleModels({ catalogue }: Pick<Context, 'catalogue'>): ModelDescription[] {
  return [...catalogue.models.values()].filter(({ visibility }) => visibility === 'public')
}
