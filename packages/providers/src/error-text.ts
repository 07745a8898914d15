import { inspect } from 'node:util'

/** What an error says, cut to a length that fits a message. A model may throw anything, also what `String` refuses. */
export function errorText(error: unknown): ErrorText {
  if (!(error instanceof Error)) {
    return { detail: (typeof error === 'string' ? error : inspect(error, { depth: 2 })).slice(0, MAX_LENGTH) }
  }
  const { message, name, stack } = error
  return {
    detail: (typeof message === 'string' ? message || String(name) : inspect(message)).slice(0, MAX_LENGTH),
    ...(typeof stack === 'string' ? { stack: stack.slice(0, MAX_LENGTH) } : {}),
  }
}

const MAX_LENGTH = 4000

export interface ErrorText {
  detail: string
  stack?: string
}
