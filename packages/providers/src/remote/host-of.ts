import { hostname } from 'node:os'
import type { ModelDescription } from '@millrace/models/description'
import { withVariables } from './variables.ts'

/**
 * The name of the host that a model runs at: the origin of its address. One on this machine is another one on every
 * machine. Undefined where the model runs in a process of ours, or where a variable of its address is not set.
 */
export function hostOf(
  { provider }: ModelDescription,
  environment: Record<string, string | undefined>,
): string | undefined {
  const stated = 'url' in provider ? provider.url : 'base_url' in provider ? provider.base_url : undefined
  const url = stated === undefined ? null : URL.parse(resolved(stated, environment) ?? '')
  if (!url) return undefined
  const isHere = /^(localhost|127\.[\d.]+|\[::1\])$/.test(url.hostname)
  return isHere ? `${url.origin} on ${hostname()}` : url.origin
}

function resolved(text: string, environment: Record<string, string | undefined>): string | undefined {
  try {
    return withVariables(text, environment)
  } catch {
    return undefined
  }
}
