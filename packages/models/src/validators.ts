import type { ModelDescription } from './description.ts'
import { createValidator, type InputValidator } from './validate.ts'

/** The validators of inputs, made when they are first needed, once for each state of a model. */
export function createValidators(): (model: ModelDescription) => InputValidator {
  const made = new WeakMap<ModelDescription, InputValidator>()
  return (model) => {
    const validator = made.get(model) ?? createValidator(model)
    made.set(model, validator)
    return validator
  }
}
