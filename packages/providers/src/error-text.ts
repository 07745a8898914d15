import { inspect } from 'node:util'

/**
 * What an error says and what it says was its cause, cut to a length that fits a message: `fetch failed: connect
 * ECONNREFUSED 127.0.0.1:8000`. A model may throw anything, also what `String` refuses.
 */
export function errorText(error: unknown): ErrorText {
  if (!(error instanceof Error)) {
    return { detail: (typeof error === 'string' ? error : inspect(error, { depth: 2 })).slice(0, MAX_LENGTH) }
  }
  const { stack } = error
  return {
    detail: withCauses(error).slice(0, MAX_LENGTH),
    ...(typeof stack === 'string' ? { stack: stack.slice(0, MAX_LENGTH) } : {}),
  }
}

function withCauses(error: Error): string {
  let said = wordsOf(error)
  let cause = error.cause
  for (let depth = 0; depth < DEEPEST && cause !== undefined; depth++) {
    const words = withoutSecrets(wordsOfCause(cause))
    // Many an author writes the cause into the message as well.
    if (!said.includes(words)) said = `${said}: ${words}`
    cause = cause instanceof Error ? cause.cause : undefined
  }
  return said
}

/** Errors and texts alone: any other thing may be a whole request, with the key that it was sent with. */
function wordsOfCause(cause: unknown): string {
  if (cause instanceof Error) return wordsOf(cause)
  return typeof cause === 'string' ? cause : ''
}

function wordsOf(error: Error): string {
  const { message, name } = error
  if (typeof message !== 'string') return inspect(message)
  if (message !== '') return message
  // Of a name with several addresses, all of which failed, Node says nothing but this.
  const inner: unknown = error instanceof AggregateError ? error.errors : []
  const each = Array.isArray(inner) ? inner.map(wordsOfCause).filter((words) => words !== '') : []
  return each.length > 0 ? [...new Set(each.slice(0, MOST_INNER))].join(', ') : String(name)
}

/** A cause is mostly a library's, which quotes addresses and headers as it was given them. */
function withoutSecrets(text: string): string {
  return text
    .replace(/\/\/[^\s/@]+@/g, '//***@')
    .replace(/\b(Bearer|Basic) [\w.~+/=-]+/gi, '$1 ***')
    .replace(/([?&][\w-]*(?:key|token|secret|password|signature)[\w-]*=)[^&\s]+/gi, '$1***')
}

const MAX_LENGTH = 4000
const DEEPEST = 5
const MOST_INNER = 8

export interface ErrorText {
  detail: string
  stack?: string
}
