/** The word of its own that an input or an output carries, where it does. */
export function wordIn(value: unknown): string | undefined {
  const word = value !== null && typeof value === 'object' && 'word' in value ? value.word : undefined
  return typeof word === 'string' ? word : undefined
}
