import type { Issue } from './description-fault.ts'

/**
 * Every secret that a provider's settings hold as a value. What counts is the name it stands under: a key of the
 * host, a header that lets somebody in, a password in an address. A value with `${NAME}` or a template in it is a
 * reference, and words that say that there is no key are none.
 */
export function writtenSecrets(provider: object): Issue[] {
  return written(provider, []).map((path) => ({ path: ['provider', ...path], message }))
}

const message = `is a secret, which is never written into a file: write \${NAME} here and set NAME in the environment \
(for a host that asks for no key leave it out, or write none)`

function written(value: unknown, path: Path): Path[] {
  if (typeof value === 'string') return isSecret(value, path) ? [path] : []
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, item]) => written(item, [...path, key]))
}

function isSecret(value: string, path: Path): boolean {
  const name = path.at(-1) ?? ''
  if (/(^|_)url$/.test(name) && holdsSecret(value)) return true
  const names = path.length === 1 ? settings : path[0] === 'headers' ? headers : fields
  return names.test(name) && isValue(value)
}

/** An address with a user's password, or a key in its query. */
function holdsSecret(address: string): boolean {
  const [, password = ''] = /^https?:\/\/[^/?#@]*?:([^/?#]*)@/.exec(address) ?? []
  const query = [...address.matchAll(/[?&]([^=&#]+)=([^&#]*)/g)]
  const isKey = (name: string, value: string) =>
    fields.test(name) || (/^(key|token|sig|signature)$/i.test(name) && value.length >= 8)
  return isValue(password) || query.some(([, name = '', value = '']) => isKey(name, value) && isValue(value))
}

function isValue(text: string): boolean {
  if (/\$\{\w+\}|\{\{/.test(text)) return false
  const bare = text.replace(/^(bearer|basic|key|token)\s+/i, '').trim()
  return bare !== '' && !placeholders.has(bare.toLowerCase().replaceAll(/[-_ ]/g, ''))
}

/** Of the kinds `openai`, `replicate` and `fal`. */
const settings = /^(api_key|token|key)$/

const headers = /authorization$|cookie$|api[-_]?key|(?<!^idempotency-)\bkey$|token$|secret|password/i

/** Elsewhere in what is sent, and in a command's `env`, `key` and `token` alone may be anything. */
const fields =
  /(api|access|secret|private|auth)[-_]?key|(api|access|auth|bearer|hf)[-_]?token|secret|password/i

/** What people give to local servers that ask for a key and look at none, without case, `-`, `_` and spaces. */
const placeholders: ReadonlySet<string> = new Set([
  'none',
  'null',
  'empty',
  'dummy',
  'unused',
  'local',
  'nokey',
  'notneeded',
  'notrequired',
  'nokeyrequired',
  'sknokeyrequired',
  'ollama',
  'lmstudio',
  'localai',
  'vllm',
])

type Path = readonly string[]
