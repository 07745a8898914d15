import { replaceVariables } from '@millrace/models/variables'
import { Unavailable } from './faults.ts'

/** The settings with the value of each `${NAME}` in their strings. Throws Unavailable where one is not set. */
export function withVariables<T>(settings: T, environment: Record<string, string | undefined>): T {
  return replaceVariables(settings, (name) => {
    const value = environment[name]
    if (value === undefined || value === '') {
      throw new Unavailable(`This worker has no ${name}, which the model's settings ask for.`)
    }
    return value
  })
}
