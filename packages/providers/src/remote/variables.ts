import { Unavailable } from './faults.ts'

/** The settings with the value of each `${NAME}` in their strings. Throws Unavailable where one is not set. */
export function withVariables<T>(settings: T, environment: Record<string, string | undefined>): T {
  return replaced(settings, (name) => {
    const value = environment[name]
    if (value === undefined || value === '') {
      throw new Unavailable(`This worker has no ${name}, which the model's settings ask for.`)
    }
    return value
  }) as T
}

/** The names of the variables that settings ask for. */
export function variablesIn(settings: unknown): string[] {
  const names = new Set<string>()
  replaced(settings, (name) => {
    names.add(name)
    return ''
  })
  return [...names]
}

function replaced(value: unknown, look: (name: string) => string): unknown {
  if (typeof value === 'string') return value.replaceAll(reference, (_, name: string) => look(name))
  if (Array.isArray(value)) return value.map((item) => replaced(item, look))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, replaced(item, look)]))
}

const reference = /\$\{([A-Za-z_][A-Za-z0-9_]*)\}/g
