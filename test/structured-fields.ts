/**
 * Parses a list of strings with parameters, as RFC 9651 writes structured fields, and refuses everything else: each
 * member's string with its parameters, integers and strings.
 */
export function parseItems(
  text: string | null,
): [name: string, parameters: Record<string, number | string>][] {
  if (text === null) throw new Error('There is no such header')
  const items: [string, Record<string, number | string>][] = []
  let rest = text
  const take = (shape: RegExp, what: string): string[] => {
    const found = new RegExp(`^(?:${shape.source})`).exec(rest)
    if (!found) throw new Error(`No ${what} at "${rest}" of "${text}"`)
    rest = rest.slice(found[0].length)
    return [...found]
  }
  const string = () =>
    (take(/"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"/, 'string')[1] ?? '').replaceAll(/\\(.)/g, '$1')
  for (;;) {
    const name = string()
    const parameters: Record<string, number | string> = {}
    while (rest.startsWith(';')) {
      const [, key = ''] = take(/; *([a-z*][a-z0-9_\-.*]*)=/, 'parameter')
      parameters[key] = rest.startsWith('"') ? string() : Number(take(/-?\d{1,15}(?![.\d])/, 'integer')[0])
    }
    items.push([name, parameters])
    if (rest === '') return items
    take(/[ \t]*,[ \t]*/, 'comma')
  }
}
