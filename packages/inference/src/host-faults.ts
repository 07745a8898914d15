import { InferenceFault } from './fault.ts'

/** What a connection that came to nothing says: the host is away, and another may be asked. */
export function unreachable(error: unknown): InferenceFault {
  const code = codeOf(error)
  if (code === 'UND_ERR_INVALID_ARG') {
    return new InferenceFault('INFERENCE_ERROR', 'The model is not set up as its host needs it.', {
      elsewhere: true,
      cause: error,
    })
  }
  return slow.has(code)
    ? new InferenceFault('INFERENCE_TIMEOUT', 'The model could not be reached in time.', away(error))
    : new InferenceFault('INFERENCE_ERROR', 'The model could not be reached.', away(error))
}

/** The answer ended before it was whole. */
export function cutOff(error?: unknown): InferenceFault {
  return new InferenceFault('INFERENCE_ERROR', "The model's answer ended before it was whole.", away(error))
}

/** The host answered with 200, and with nothing that could be an answer. */
export function unreadable(what: string, sample = ''): InferenceFault {
  const cause = new Error(`The host answered ${what}${sample && `: ${sample.slice(0, 300)}`}`)
  return new InferenceFault('INFERENCE_ERROR', 'The model gave no answer that could be read.', away(cause))
}

/** It took too long. */
export function timedOut(message: string, about: { down: boolean }): InferenceFault {
  return new InferenceFault('INFERENCE_TIMEOUT', message, { elsewhere: true, ...about })
}

function away(cause: unknown) {
  return { elsewhere: true, down: true, cause }
}

function codeOf(error: unknown): string {
  for (let at = error; at instanceof Error; at = at.cause) {
    if ('code' in at && typeof at.code === 'string') return at.code
  }
  return ''
}

const slow = new Set([
  'UND_ERR_CONNECT_TIMEOUT',
  'ETIMEDOUT',
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
])
