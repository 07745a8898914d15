import { variablesIn } from '@millrace/models/variables'

/**
 * Takes the secrets of a host's settings out of whatever is said of a run: hosts quote the key that they refuse, and
 * echo the headers that they were sent. A secret is the value of a variable, and a token that stands in the settings.
 */
export function secretsOf(settings: object, environment: Record<string, string | undefined>): Secrets {
  const values = [...variablesIn(settings).map(({ name }) => environment[name]), ...statedIn(settings)]
  const secrets = values.filter(
    (value): value is string => typeof value === 'string' && value.length >= shortest,
  )
  // The longer first, since one may be a part of another.
  const spelled = [...new Set(secrets.flatMap((secret) => [secret, encodeURIComponent(secret)]))].sort(
    (a, b) => b.length - a.length,
  )

  function hidden(value: unknown, depth: number): unknown {
    if (typeof value === 'string') return hideIn(value)
    if (typeof value !== 'object' || value === null || depth > deepest) return value
    if (Array.isArray(value)) return value.map((item) => hidden(item, depth + 1))
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [hideIn(key), hidden(item, depth + 1)]),
    )
  }

  function hideIn(text: string): string {
    return spelled.reduce((left, secret) => left.replaceAll(secret, '***'), text)
  }

  return { hide: <T>(value: T) => (spelled.length === 0 ? value : (hidden(value, 0) as T)) }
}

function statedIn(settings: object): unknown[] {
  const hosts = 'hosts' in settings && Array.isArray(settings.hosts) ? settings.hosts : []
  return [settings, ...hosts].flatMap(({ token, key, api_key }: Partial<Record<string, unknown>>) => [
    token,
    key,
    api_key,
  ])
}

/** Such as the name of a region, which may well be said. */
const shortest = 8

const deepest = 70

export interface Secrets {
  /** The same value with `***` wherever a secret stood. */
  hide<T>(value: T): T
}
