import type { ModelDescription } from '@millrace/models/description'
import type { ChatRequest } from './chat.ts'
import { guessPrompt } from './count-tokens.ts'
import { badParameter } from './read-fields.ts'

/**
 * The request with the longest answer that it may have: as asked, else 4096 tokens, and never more than the model can. Who
 * gives both names has the smaller number under both, so that whichever its host reads is what was held for. Throws an
 * `InferenceFault` where more is asked for, or what is no number of tokens; `param` is what the surface calls it.
 */
export function limitAnswer(
  { max_output_tokens: most }: Pick<ModelDescription, 'max_output_tokens'>,
  request: ChatRequest,
  param?: string,
): ChatRequest {
  const given = names.filter((name) => request[name] != null)
  for (const name of given) {
    if (!Number.isSafeInteger(request[name])) throw badParameter(name, `${name} must be a whole number.`)
  }
  const asked = askedLength(request)
  if (most !== undefined && asked !== undefined && asked > most) {
    const name = param ?? given[0] ?? 'max_tokens'
    throw badParameter(name, `${name} must be at most ${most} for this model.`)
  }
  const length = asked ?? Math.min(defaultTokens, most ?? defaultTokens)
  const told = given.length > 0 ? given : (['max_tokens'] as const)
  return { ...request, ...Object.fromEntries(told.map((name) => [name, length])) }
}

/** The longest answer that a request asks for, in tokens; undefined where it does not tell. */
export function askedLength(request: ChatRequest): number | undefined {
  const given = names.map((name) => request[name]).filter((value) => value != null)
  return given.length > 0 ? Math.min(...given) : undefined
}

/** The most tokens that a limited request can come to: its prompt, guessed, and all its answers together. */
export function mostTokens(limited: ChatRequest): { input: number; output: number } {
  const answers = Number(limited.n ?? 1)
  const count = Number.isFinite(answers) ? Math.max(1, answers) : 1
  return { input: guessPrompt(limited), output: (askedLength(limited) ?? 0) * count }
}

const names = ['max_completion_tokens', 'max_tokens'] as const

const defaultTokens = 4096
