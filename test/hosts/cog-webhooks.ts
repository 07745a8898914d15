import { setTimeout as delay } from 'node:timers/promises'

/**
 * Sends a webhook as Cog does: unsigned, with a bearer token where one is set. What is not terminal is sent once and
 * nobody looks at the answer; the terminal one is sent again while the receiver is away.
 */
export async function sendWebhook(
  url: string,
  body: object,
  isTerminal: boolean,
  headers: Record<string, string>,
  { token, retryMs, closing }: WebhookSettings,
): Promise<void> {
  const text = JSON.stringify(body)
  for (let retry = 0; retry <= (isTerminal ? maxRetries : 0); retry += 1) {
    if (retry > 0)
      await delay(retryMs * 2 ** Math.min(retry - 1, 10), undefined, { signal: closing }).catch(() => {})
    if (closing.aborted) return
    const status = await fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'user-agent': 'coglet/0.17.0',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...headers,
      },
      body: text,
      signal: AbortSignal.any([closing, AbortSignal.timeout(30_000)]),
    }).then(
      (response) => response.status,
      () => undefined,
    )
    if (status !== undefined && !retried.includes(status)) return
  }
}

const maxRetries = 12

const retried = [429, 500, 502, 503, 504]

export interface WebhookSettings {
  /** `WEBHOOK_AUTH_TOKEN` of the container. */
  token: string | undefined
  /** Before the first retry; each waits twice as long as the one before. */
  retryMs: number
  /** Fires when the container ends. */
  closing: AbortSignal
}
