/** What is wrong with what a file says of a model: each thing with the place where it says so. */
export class DescriptionFault extends Error {
  readonly issues: readonly Issue[]

  constructor(issues: readonly Issue[]) {
    super(issues.map(reasonOf).join('; '))
    this.name = 'DescriptionFault'
    this.issues = issues
  }
}

/** An issue as a person reads it. */
export function reasonOf({ path, message }: Issue): string {
  return `${path.map(String).join('.') || 'model'}: ${message}`
}

/** One thing that its author has to change. */
export interface Issue {
  path: readonly PropertyKey[]
  message: string
}
