import { createGuard, type Guard } from '@millrace/outbound/guard'

/**
 * A guard that lets a host's own addresses pass, which may well be inside, and judges all others as `others` does.
 * Metadata services stay closed, whatever a description says.
 */
export function homeGuard(homes: ReadonlySet<string>, others: Guard): HomeGuard {
  const trusting = createGuard({ allow: ['0.0.0.0/0', '::/0'], loopback: true })
  const names = new Set([...homes].map((home) => bare(new URL(home).hostname)))
  const isHome = (url: URL) => homes.has(url.origin)
  return {
    isHome,
    // Every hop comes by here, so another port of the same machine is refused before any name is looked up.
    check(text) {
      const url = URL.parse(text)
      return url && isHome(url) ? trusting.check(text) : others.check(text)
    },
    lookup: (name, options, done) =>
      names.has(bare(name)) ? trusting.lookup(name, options, done) : others.lookup(name, options, done),
    permits: others.permits,
  }
}

/** The origins that the settings of a host name. */
export function homesOf(settings: object): Set<string> {
  const urls = Object.values(settings).map((value) => (typeof value === 'string' ? URL.parse(value) : null))
  return new Set(urls.flatMap((url) => (url && /^https?:$/.test(url.protocol) ? [url.origin] : [])))
}

function bare(name: string): string {
  return name.replace(/^\[|\]$/g, '').toLowerCase()
}

export interface HomeGuard extends Guard {
  isHome(url: URL): boolean
}
