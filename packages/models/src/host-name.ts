import { hostname } from 'node:os'

/**
 * What a host is known by to its breaker and in logs: the origin of its address. One on this machine is another one on
 * every machine. Undefined where the address is none.
 */
export function hostNameOf(address: string): string | undefined {
  const url = URL.parse(address)
  if (!url) return undefined
  const isHere = /^(localhost|127\.[\d.]+|\[::1\])$/.test(url.hostname)
  return isHere ? `${url.origin} on ${hostname()}` : url.origin
}
