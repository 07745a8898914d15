/** A copy of a value that came out of JSON: a tenth of what `structuredClone` takes, which knows every kind of object. */
export function copyOf<T>(value: T): T {
  if (Array.isArray(value)) return value.map(copyOf) as T
  if (typeof value !== 'object' || value === null) return value
  const copy: Record<string, unknown> = {}
  for (const [name, item] of Object.entries(value)) {
    // An assignment would set the prototype.
    if (name === '__proto__') Object.defineProperty(copy, name, { ...own, value: copyOf(item) })
    else copy[name] = copyOf(item)
  }
  return copy as T
}

const own = { configurable: true, enumerable: true, writable: true }
