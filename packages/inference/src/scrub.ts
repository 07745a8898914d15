import type { HostSettings } from './host-settings.ts'

/**
 * Takes out of a host's words what callers may not learn: its key, its address, addresses of private networks, and its
 * own name for the model, for which the slug stands that they know.
 */
export function createScrub({
  baseUrl,
  apiKey,
  model,
}: HostSettings): (text: string, slug: string) => string {
  const { origin, host, hostname } = new URL(baseUrl)
  const named = new RegExp(`(?<![\\w.-])${escaped(model)}(?![\\w-])`, 'g')
  const keys = apiKey ? [apiKey, encodeURIComponent(apiKey)] : []

  return (text, slug) => {
    const hidden = keys.reduce((left, key) => left.replaceAll(key, '***'), text)
    return [origin, host, hostname]
      .reduce((left, address) => left.replaceAll(address, 'the host'), hidden)
      .replaceAll(privateAddress, 'the host')
      .replaceAll(named, () => slug)
      .slice(0, longest)
  }
}

function escaped(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')
}

const privateAddress =
  /(https?:\/\/)?\b(10(\.\d{1,3}){3}|127(\.\d{1,3}){3}|192\.168(\.\d{1,3}){2}|172\.(1[6-9]|2\d|3[01])(\.\d{1,3}){2}|169\.254(\.\d{1,3}){2})(:\d+)?/g

const longest = 1000
