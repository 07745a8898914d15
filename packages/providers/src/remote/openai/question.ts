import { openaiHosts } from '@millrace/models/openai-hosts'
import type { SettingsOf } from '@millrace/models/provider-settings'
import type { Question } from '../ask-host.ts'
import { refusalOf } from './refusals.ts'

/** A question to the (first) host at a path under its `base_url`, with its key and with its way to say no. */
export function questionTo(
  settings: SettingsOf<'openai'>,
  path: string,
  rest: Partial<Question> = {},
): Question {
  const [{ base_url, api_key } = { base_url: '' }] = openaiHosts(settings)
  return {
    fault: (answer) => refusalOf(answer, settings),
    ...rest,
    url: `${base_url.replace(/\/+$/, '')}${path}`,
    headers: { ...(api_key ? { authorization: `Bearer ${api_key}` } : {}), ...rest.headers },
  }
}
