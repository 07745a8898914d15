import type { ModelRules } from './plan.ts'

/** Whether a model may be used where all of these rules hold; null and undefined are none. */
export function allowsModel(rules: readonly (ModelRules | null | undefined)[], model: NamedModel): boolean {
  return rules.every((one) => {
    if (!one) return true
    if (one.deny?.some((pattern) => means(pattern, model))) return false
    return one.allow === undefined || one.allow.some((pattern) => means(pattern, model))
  })
}

/** Whether whoever has the rules `given` may use nothing that `own` keep from him. Errs on the side of no. */
export function coversRules(
  own: ModelRules | null | undefined,
  given: ModelRules | null | undefined,
): boolean {
  if (!own) return true
  const within = own.allow === undefined || (given?.allow?.every((one) => isAmong(own.allow, one)) ?? false)
  return within && (own.deny ?? []).every((one) => isAmong(given?.deny, one))
}

/** `*` stands for any characters, also for none. */
export function matchesGlob(pattern: string, text: string): boolean {
  const [first = '', ...rest] = pattern.split('*')
  const last = rest.pop()
  if (last === undefined) return pattern === text
  if (text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last))
    return false
  let at = first.length
  for (const part of rest) {
    const found = text.indexOf(part, at)
    if (found === -1) return false
    at = found + part.length
  }
  return at <= text.length - last.length
}

function means(pattern: string, { namespace, aliases, service }: NamedModel): boolean {
  if (pattern.startsWith(serviceWord)) return pattern.slice(serviceWord.length) === service.type
  return matchesGlob(pattern, namespace) || aliases.some((alias) => matchesGlob(pattern, alias))
}

/** Whether one of the patterns stands for all that this one stands for. The stars of this one are met by stars alone. */
function isAmong(patterns: readonly string[] | undefined, pattern: string): boolean {
  const isWord = pattern.startsWith(serviceWord)
  return (patterns ?? []).some(
    (one) =>
      one === '*' ||
      one === pattern ||
      (!isWord && !one.startsWith(serviceWord) && matchesGlob(one, pattern)),
  )
}

/** `service:partner` and `service:native` mean models by what `service.type` says of them. */
const serviceWord = 'service:'

/** What rules look at. */
interface NamedModel {
  namespace: string
  aliases: readonly string[]
  service: { type: 'native' | 'partner' }
}
