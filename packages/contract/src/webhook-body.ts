import type { Prediction } from './prediction.ts'
import type { AccountEventName, PredictionEventName } from './webhook-events.ts'

/** How a webhook body may be laid out. `prediction` is for per-request webhooks, `envelope` the default of endpoints. */
export const bodyFormats = ['envelope', 'prediction', 'thin'] as const

/** Bodies over this fall back to thin, with `"truncated": true`. Bytes. */
export const maxBodyBytes = 256 * 1024

/** The text of one webhook body: the prediction as it was at the event; `oversized` says that it was cut already. */
export function webhookBody(
  format: BodyFormat,
  event: PredictionEventName,
  at: Date,
  prediction: Prediction,
  oversized = false,
): string {
  const text = JSON.stringify(layouts[format](event, at.toISOString(), prediction))
  if (!oversized && Buffer.byteLength(text) <= maxBodyBytes) return text
  return JSON.stringify({ ...layouts.thin(event, at.toISOString(), prediction), truncated: true })
}

/** The text of the body of an event of an account. `data.id` names what it is about; thin bodies have nothing else. */
export function accountEventBody(
  format: BodyFormat,
  event: AccountEventName,
  at: Date,
  data: EventData,
): string {
  const timestamp = at.toISOString()
  if (format === 'prediction') return JSON.stringify({ type: event, created_at: timestamp, data })
  return JSON.stringify({ type: event, timestamp, data: format === 'thin' ? { id: data.id } : data })
}

const layouts = {
  envelope: (type, timestamp, data) => ({ type, timestamp, data }),
  // Readers of two conventions meet here: one routes by the top-level `status`, one reads {type, created_at, data}.
  prediction: (type, timestamp, data) => ({ ...data, type, created_at: timestamp, data }),
  thin: (type, timestamp, { id, status }) => ({ type, timestamp, data: { id, status } }),
} as const satisfies Record<BodyFormat, (type: string, timestamp: string, data: Prediction) => object>

export type BodyFormat = (typeof bodyFormats)[number]

/** What an event of an account tells, as its receivers read it. */
export type EventData = Readonly<Record<string, unknown>> & { id: string }
