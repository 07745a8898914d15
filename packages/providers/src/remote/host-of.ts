import type { ModelDescription } from '@millrace/models/description'
import { hostNameOf } from '@millrace/models/host-name'
import { openaiHosts } from '@millrace/models/openai-hosts'
import { withVariables } from './variables.ts'

/**
 * The name of the host that a model's predictions run at: the first one where it has several. Undefined where the model
 * runs in a process of ours, or where a variable of its address is not set.
 */
export function hostOf(
  { provider }: ModelDescription,
  environment: Record<string, string | undefined>,
): string | undefined {
  const [stated] = addressesOf(provider)
  return stated === undefined ? undefined : hostNameOf(resolved(stated, environment) ?? '')
}

function addressesOf(provider: ModelDescription['provider']): string[] {
  if (provider.kind === 'openai') return openaiHosts(provider).map((host) => host.base_url)
  return 'url' in provider ? [provider.url] : 'base_url' in provider ? [provider.base_url] : []
}

function resolved(text: string, environment: Record<string, string | undefined>): string | undefined {
  try {
    return withVariables(text, environment)
  } catch {
    return undefined
  }
}
