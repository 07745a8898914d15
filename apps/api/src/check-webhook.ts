import type { CreatePrediction } from '@millrace/contract/create-prediction'
import { accountEventOf, accountEvents, defaultEvents, eventOf } from '@millrace/contract/webhook-events'
import type { Guard } from '@millrace/outbound/guard'
import { ApiError } from './api-error.ts'

/**
 * The webhook of a create, in the caller's own spelling of the events; a bare URL means all that need no opt-in.
 * Throws INVALID_WEBHOOK_URL, and INVALID_PARAMETER for an unknown event.
 */
export async function checkWebhook(
  guard: Guard,
  webhook: CreatePrediction['webhook'],
): Promise<{ url: string; events: string[] } | null> {
  if (webhook === undefined || webhook === null) return null
  const { url, events = [...defaultEvents] } = typeof webhook === 'string' ? { url: webhook } : webhook
  checkEvents(events, 'webhook.events')
  await checkWebhookUrl(guard, url, 'webhook.url')
  return { url, events: [...new Set(events)] }
}

/** Throws INVALID_WEBHOOK_URL, saying why, for an address that deliveries may not reach. */
export async function checkWebhookUrl(guard: Guard, url: string, path: string): Promise<void> {
  const refusal =
    url.length > 2048 ? { message: 'The URL is longer than 2048 characters' } : await guard.check(url)
  if (refusal) {
    throw new ApiError('INVALID_WEBHOOK_URL', `${refusal.message}.`, {
      fields: [{ path, message: refusal.message }],
    })
  }
}

/** Throws INVALID_PARAMETER for a name that is no event; `*` and the events of an account only where `all` allows them. */
export function checkEvents(events: string[], path: string, { all = false } = {}): void {
  const isKnown = (name: string) =>
    eventOf(name) !== undefined || (all && (name === '*' || accountEventOf(name) !== undefined))
  const unknown = events.find((name) => !isKnown(name))
  if (unknown === undefined) return
  const others = all ? `, and ${accountEvents.join(', ')}` : ''
  const message = `"${unknown.slice(0, 100)}" is not an event; the events are created, starting, started, succeeded, failed and cancelled, each after "prediction."${others}`
  throw new ApiError('INVALID_PARAMETER', message, { fields: [{ path, message }] })
}
