import type { CreateRequest } from './contender.ts'
import type { Millrace } from './millrace.ts'

/** The create of every measurement: a model that does nothing, and two webhooks where a URL is given. */
export function createRequest(
  { url, apiKey }: Service,
  webhookUrl?: string,
  model?: 'noop' | 'paid',
): CreateRequest {
  return {
    url: `${url}/v1/predictions`,
    headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
    body: JSON.stringify(createBody(webhookUrl, model)),
  }
}

/** Its body. */
export function createBody(webhookUrl?: string, model: 'noop' | 'paid' = 'noop'): Record<string, unknown> {
  return {
    model,
    input: { prompt: 'nothing much' },
    ...(webhookUrl && { webhook: { url: webhookUrl, events: ['started', 'completed'] } }),
  }
}

/** Sends one request with a JSON body, and reads its JSON. Throws when it is refused. */
export async function call(
  { url, apiKey }: Service,
  method: 'GET' | 'POST',
  path: string,
  body?: unknown,
): Promise<unknown> {
  const answer = await fetch(`${url}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${apiKey}`,
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  if (!answer.ok) throw new Error(`${method} ${path} was answered ${answer.status}: ${await answer.text()}`)
  return await answer.json()
}

type Service = Pick<Millrace, 'url' | 'apiKey'>
