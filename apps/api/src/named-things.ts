import { fromTypeId, toTypeId } from '@millrace/database/ids'
import { badParameter } from './bad-parameter.ts'
import type { Context } from './context.ts'

/** All names of the model that a filter names, also of one that is not there any more. */
export function modelsOf(
  { catalogue }: Pick<Context, 'catalogue'>,
  slug: string | undefined,
): string[] | undefined {
  if (slug === undefined) return undefined
  const model = catalogue.find(slug)
  return model ? [...new Set([model.namespace, ...model.aliases, slug])] : [slug]
}

/** The uuid of the key that a filter names. Throws INVALID_PARAMETER. */
export function keyOf(id: string | undefined): string | undefined {
  if (id === undefined) return undefined
  const uuid = fromTypeId('key', id)
  if (uuid === undefined) throw badParameter('key', 'is no id of a key, which begins with key_')
  return uuid
}

/** A key as rows and groups name it. */
export function shownKey(id: string | null, name: string | null): { id: string; name: string | null } | null {
  return id === null ? null : { id: toTypeId('key', id), name }
}
