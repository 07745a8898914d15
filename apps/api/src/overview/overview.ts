import type { Overview } from '@millrace/contract/overview'
import type { Context } from '../context.ts'
import { usefulEndpoints } from './useful-endpoints.ts'
import { visibleModels } from './visible-models.ts'

/** The service in short, for programs that find their way by themselves. */
export function overviewOf(context: Context): Overview {
  const { PUBLIC_URL: publicUrl } = context.config
  const baseUrl = `${publicUrl}/v1`
  const byPath = Map.groupBy(usefulEndpoints, ({ path }) => path)
  return {
    base_url: baseUrl,
    auth: howToAuthenticate,
    endpoints: Object.fromEntries(
      [...byPath].map(([path, endpoints]) => [
        path,
        {
          method: endpoints.map(({ method }) => method.toUpperCase()).join(', '),
          use_for: endpoints.map(({ summary }) => summary).join('; '),
        },
      ]),
    ),
    compatibility: clientsOf(context),
    streaming:
      'Server-sent events: `stream: true` in the body of chat completions and messages; `GET /v1/predictions/{id}/stream` for predictions.',
    function_calling:
      '`tools` in the body of chat completions and messages, for models whose `capabilities` have `tools`.',
    total_endpoints: visibleModels(context).length,
  }
}

/** Whose clients work, with the base URL that each of them is given. */
export function clientsOf({ config }: Pick<Context, 'config'>): Record<string, string> {
  const { PUBLIC_URL: publicUrl, DIALECTS: dialects } = config
  return {
    openai: `${publicUrl}/v1`,
    anthropic: publicUrl,
    ...Object.fromEntries(dialects.map((name) => [name, `${publicUrl}/v1`])),
  }
}

/** In a sentence. */
export const howToAuthenticate =
  'Send an API key as the header `x-api-key: <key>` or `Authorization: Bearer <key>`.'
