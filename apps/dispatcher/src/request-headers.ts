import { databaseNow } from '@millrace/database/clock'
import { toTypeId } from '@millrace/database/ids'
import { sign } from '@millrace/webhooks/sign'
import manifest from '../package.json' with { type: 'json' }
import type { PreparedDelivery } from './prepare.ts'

/** The headers of one attempt: the endpoint's own first, so that ours win, and signatures that any valid secret checks. */
export function requestHeaders({
  delivery,
  body,
  headers,
  secrets,
}: PreparedDelivery): Record<string, string> {
  const own = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value] as const)
  return {
    ...Object.fromEntries(own.filter(([name]) => !reserved.has(name))),
    'content-type': 'application/json',
    'user-agent': `Millrace-Webhooks/${manifest.version}`,
    'webhook-event': delivery.event,
    ...sign({
      id: toTypeId('msg', delivery.id),
      timestamp: Math.floor(databaseNow() / 1000),
      body,
      secrets,
    }),
  }
}

/** What belongs to the connection. `host` among it: it would name the certificate to expect as well. */
const reserved = new Set([
  'host',
  'connection',
  'content-length',
  'expect',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])
