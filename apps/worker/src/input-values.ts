import { unseal } from '@millrace/keys/seal'
import type { Claim } from '@millrace/lifecycle/claim'
import type { ModelDescription } from '@millrace/models/description'
import { createValidator, type InputValidator } from '@millrace/models/validate'
import type { Worker } from './worker.ts'

/** The input with the secrets that are stored sealed. */
export function withSecrets(
  { sealingKeys }: Pick<Worker, 'sealingKeys'>,
  { row }: Claim,
): Record<string, unknown> {
  if (row.sealed_input === null) return row.input
  return { ...row.input, ...JSON.parse(unseal(row.sealed_input, sealingKeys)) }
}

/** Whether an input that was checked for one model fits another, with that one's own defaults. */
export function checkInput(
  description: ModelDescription,
  input: Record<string, unknown>,
): ReturnType<InputValidator> {
  const known = validators.get(description) ?? createValidator(description)
  validators.set(description, known)
  return known(input)
}

/** Compiled when a model is first needed as a fallback, which few ever are. */
const validators = new WeakMap<ModelDescription, InputValidator>()
