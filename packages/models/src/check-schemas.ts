import type { ModelDescription } from './description.ts'
import { DescriptionFault, type Issue } from './description-fault.ts'
import { createOutputValidator, createValidator } from './validate.ts'

/** Throws DescriptionFault when a schema of a model is none, or leads back to itself before it looks at anything. */
export function checkSchemas(description: ModelDescription): void {
  const issues = [
    ...issueOf('input_schema', () => createValidator(description)({})),
    ...issueOf('output_schema', () => createOutputValidator(description)({})),
  ]
  if (issues.length > 0) throw new DescriptionFault(issues)
}

function issueOf(field: string, compile: () => unknown): Issue[] {
  try {
    compile()
    return []
  } catch (error) {
    if (error instanceof RangeError)
      return [{ path: [field], message: 'The schema cannot be used: it refers to itself without end' }]
    const reason = error instanceof Error ? error.message : String(error)
    // Ajv tells one mistake as often as there are rules that it breaks; the first names its place.
    const [, pointer = '', first] =
      /^schema is invalid: data(\S*) (.+?)(?:, data[/ ].*)?$/s.exec(reason) ?? []
    const path = [field, ...pointer.split('/').slice(1).map(unescaped)]
    return [{ path, message: `The schema cannot be used: ${first ?? reason}` }]
  }
}

function unescaped(part: string): string {
  return part.replaceAll('~1', '/').replaceAll('~0', '~')
}
