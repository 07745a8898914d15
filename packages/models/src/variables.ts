import type { ModelDescription } from './description.ts'

/** Every `${NAME}` in the strings of some settings, and where it stands. */
export function variablesIn(settings: unknown, path: readonly (string | number)[] = []): Variable[] {
  if (typeof settings === 'string') {
    return [...settings.matchAll(reference)].map(([, name = '']) => ({ name, path }))
  }
  if (typeof settings !== 'object' || settings === null) return []
  return Object.entries(settings).flatMap(([key, item]) => variablesIn(item, [...path, key]))
}

/** The settings with something in place of each `${NAME}` in their strings. */
export function replaceVariables<T>(settings: T, look: (name: string) => string): T {
  return replaced(settings, look) as T
}

/** The parts of a provider's settings in which `${NAME}` is a reference: a command line may be a script with its own. */
export function referringParts(provider: ModelDescription['provider']): unknown {
  switch (provider.kind) {
    case 'module':
      return {}
    case 'command':
      return { env: provider.env }
    default:
      return provider
  }
}

/** The names of all variables without which a model is not served. */
export function variablesOf({
  provider,
  requires,
}: Pick<ModelDescription, 'provider' | 'requires'>): string[] {
  return [...new Set([...requires, ...variablesIn(referringParts(provider)).map(({ name }) => name)])]
}

function replaced(value: unknown, look: (name: string) => string): unknown {
  if (typeof value === 'string') return value.replaceAll(reference, (_, name: string) => look(name))
  if (Array.isArray(value)) return value.map((item) => replaced(item, look))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, replaced(item, look)]))
}

const reference = /\$\{([A-Za-z_][A-Za-z0-9_]*)\}/g

/** A reference to a variable of the environment. */
export interface Variable {
  name: string
  path: readonly (string | number)[]
}
