/**
 * Postgres refuses NUL in text and lone surrogates are no Unicode: both become U+FFFD, in keys and values, at any
 * depth. A value with neither comes back as it is.
 */
export function sanitise<T>(value: T): T {
  if (typeof value === 'string') return sanitiseText(value) as T
  if (Array.isArray(value)) return value.map(sanitise) as T
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [sanitiseText(key), sanitise(item)]),
    ) as T
  }
  return value
}

/** The same rule for one string. */
export function sanitiseText(text: string): string {
  return text.isWellFormed() && !text.includes('\0') ? text : text.toWellFormed().replaceAll('\0', '\uFFFD')
}
