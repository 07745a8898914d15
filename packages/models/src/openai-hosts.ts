import type { SettingsOf } from './provider-settings.ts'

/** The hosts of a model that OpenAI-compatible servers serve, the first one first. */
export function openaiHosts({
  base_url,
  api_key,
  model,
  max_running,
  hosts = [],
}: SettingsOf<'openai'>): OpenaiHost[] {
  const first = base_url === undefined ? [] : [{ base_url, api_key, model, weight: 1, max_running }]
  // What is said of the model is so at each of its hosts; a key is one host's own, and goes to no other.
  return [
    ...first,
    ...hosts.map((host) => ({
      ...host,
      model: host.model ?? model,
      max_running: host.max_running ?? max_running,
      ...(base_url === undefined ? { api_key: host.api_key ?? api_key } : {}),
    })),
  ]
}

/** One of them. */
export interface OpenaiHost {
  base_url: string
  api_key?: string | undefined
  /** What it calls the model; its slug where that is not said. */
  model?: string | undefined
  /** Its share of the requests, beside the others'. */
  weight: number
  /** Requests at a time. */
  max_running?: number | undefined
}
