/** What an error body says to people, whichever of the usual shapes it has; at most 500 characters. */
export function textIn(body: unknown): string {
  return said(body, 0).slice(0, longest)
}

/** Whether an error body says that the content is against the rules, as OpenAI, Azure and fal spell it. */
export function isPolicy(body: unknown): boolean {
  if (Array.isArray(body)) return body.some(isPolicy)
  if (typeof body !== 'object' || body === null) return false
  const { error, detail, code, type, error_type } = body as Record<string, unknown>
  const named = [code, type, error_type].some((word) => typeof word === 'string' && policyCodes.has(word))
  return named || isPolicy(error) || isPolicy(detail)
}

function said(body: unknown, depth: number): string {
  if (typeof body === 'string') return readable(body)
  if (typeof body !== 'object' || body === null || depth > 4) return ''
  if (Array.isArray(body)) return joined(body.slice(0, 10).map((item) => said(item, depth + 1)))
  const { error, errors, detail, message, msg, title, fields } = body as Record<string, unknown>
  const words = [message, msg, detail, error, errors, title]
    .map((part) => said(part, depth + 1))
    .find(Boolean)
  const field = fieldOf(body as Record<string, unknown>)
  const text = words && field && !words.includes(field) ? `${field}: ${words}` : (words ?? '')
  // Our own errors name their fields beside the message.
  return Array.isArray(fields) ? joined([text, said(fields, depth + 1)]) : text
}

/** The field that an error is about: `loc` of FastAPI, Cog and fal, `param` of OpenAI, `path` of ours. */
function fieldOf({ loc, param, path }: Record<string, unknown>): string {
  if (Array.isArray(loc)) {
    const parts = loc.filter((part) => typeof part === 'string' || typeof part === 'number')
    const start = parts.findIndex((part) => part !== 'body' && part !== 'input')
    return start < 0 ? '' : parts.slice(start).join('.')
  }
  return [param, path].find((name) => typeof name === 'string' && name !== '')?.toString() ?? ''
}

/** Proxies answer with pages: their title says what they say. */
function readable(text: string): string {
  if (!/^\s*<(!doctype|html)/i.test(text.slice(0, 200))) return text.trim()
  return /<title[^>]*>([^<]*)/i.exec(text.slice(0, 4000))?.[1]?.trim() ?? ''
}

function joined(texts: string[]): string {
  return [...new Set(texts.filter(Boolean))].join('; ')
}

const policyCodes = new Set([
  'content_policy_violation',
  'content_policy',
  'content_filter',
  'moderation_blocked',
])

const longest = 500
