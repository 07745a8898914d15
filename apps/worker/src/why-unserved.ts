import { dirname } from 'node:path'
import type { Catalogue } from '@millrace/models/assemble-catalogue'
import { missingVariables } from '@millrace/models/config'
import type { ModelDescription } from '@millrace/models/description'
import { shippedModelsDir } from '@millrace/models/shipped-models'
import { variablesOf } from '@millrace/models/variables'
import type { Config } from './config.ts'

/** Why a worker does not serve a model, in words; undefined where it does. `wanted`: it is meant so. */
export function whyUnserved(
  model: ModelDescription,
  { pools, models }: Pick<Config, 'pools' | 'models'>,
  { find }: Pick<Catalogue, 'find'>,
): Unserved | undefined {
  const { namespace, pool, statesInput, requires, file } = model
  if (!pools.includes(pool)) return { reason: `its pool is ${pool}`, wanted: true }
  const isNamed = models?.some((slug) => find(slug)?.namespace === namespace) ?? true
  if (!isNamed) return { reason: 'MODELS does not name it', wanted: true }
  const missing = missingVariables(variablesOf(model))
  if (missing.length > 0) {
    const reason = `${missing.join(', ')} ${missing.length === 1 ? 'is' : 'are'} not set`
    // A model that ships may be off until somebody wants it.
    const isOff = dirname(file) === shippedModelsDir() && missing.every((name) => requires.includes(name))
    return { reason, missing, wanted: isOff }
  }
  // Until its container has told what it takes, nobody knows which fields of an input are files.
  return statesInput ? undefined : { reason: 'its container has not told what it takes', wanted: false }
}

/** What a person reads of it. */
export interface Unserved {
  reason: string
  /** Names of variables. */
  missing?: string[]
  wanted: boolean
}
