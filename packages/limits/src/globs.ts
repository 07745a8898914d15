/** Whether a slug is one of those that a glob stands for: `*` is any characters, slashes too. */
export function matchesGlob(glob: string, slug: string): boolean {
  const parts = glob.split('*')
  const [first = '', ...rest] = parts
  if (rest.length === 0) return slug === glob
  const last = rest.pop() ?? ''
  if (!slug.startsWith(first) || slug.length < first.length + last.length || !slug.endsWith(last))
    return false
  // Each part where it comes first: that leaves the most for the others.
  let at = first.length
  for (const part of rest) {
    const found = slug.indexOf(part, at)
    if (found === -1) return false
    at = found + part.length
  }
  return at <= slug.length - last.length
}
