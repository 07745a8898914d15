import type { FailureCode, Unavailability } from '../provider.ts'

/** The host's fault: the run may be tried again, here or elsewhere. */
export class Unavailable extends Error {
  readonly about: Unavailability

  constructor(reason: string, about: Unavailability = {}, cause?: unknown) {
    super(reason, { cause })
    this.name = 'Unavailable'
    this.about = about
  }
}

/** So is this one, and it is how the host's job came to its end: another try makes another. */
export class JobOver extends Unavailable {
  constructor(reason: string, about: Unavailability = {}) {
    super(reason, { ...about, jobIsOver: true })
  }
}

/** The model's fault, or its caller's: trying again would come to the same. */
export class Failed extends Error {
  readonly code: FailureCode

  constructor(detail: string, code: FailureCode = 'MODEL_ERROR') {
    super(detail)
    this.name = 'Failed'
    this.code = code
  }
}
