import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Mode, WebhookEvent } from './cog-prediction.ts'

/** Trainings, and the Cog that was written in Python, know no streams and take no notice of what is accepted. */
export function modeOf({ headers }: IncomingMessage, canStream: boolean): Mode {
  if (canStream && /(^|,)\s*text\/event-stream/i.test(headers.accept ?? '')) return 'sse'
  return headers.prefer === 'respond-async' ? 'async' : 'sync'
}

/** What of a request is copied to webhooks. */
export function traceHeaders({ headers }: IncomingMessage): Record<string, string> {
  const { traceparent, tracestate } = headers
  return {
    ...(typeof traceparent === 'string' ? { traceparent } : {}),
    ...(typeof tracestate === 'string' ? { tracestate } : {}),
  }
}

/** Answers without an end. */
export async function flood(response: ServerResponse, mode: Mode): Promise<void> {
  const isStream = mode === 'sse'
  response.writeHead(200, { 'content-type': isStream ? 'text/event-stream' : 'application/json' })
  const part = Buffer.alloc(1024 * 1024, isStream ? 'data: endless' : '{"endless":')
  const parts = (function* () {
    for (;;) yield part
  })()
  await pipeline(Readable.from(parts), response).catch(() => undefined)
}

/** Answers with text, or with JSON. */
export function send(response: ServerResponse, status: number, body: unknown): void {
  const isText = typeof body === 'string'
  response.writeHead(status, { 'content-type': isText ? 'text/plain' : 'application/json' })
  response.end(isText ? body : JSON.stringify(body))
}

/** The body of a 422. */
export function detail(loc: string[], msg: string): object {
  return { detail: [{ loc, msg, type: 'value_error' }] }
}

/** JSON, or undefined. */
export function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    return undefined
  }
}

/** Whether a value is an object with names. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The answer at `/`. */
export const discovery = {
  cog_version: '0.17.0',
  docs_url: '/docs',
  openapi_url: '/openapi.json',
  shutdown_url: '/shutdown',
  healthcheck_url: '/health-check',
  predictions_url: '/predictions',
  predictions_idempotent_url: '/predictions/{prediction_id}',
  predictions_cancel_url: '/predictions/{prediction_id}/cancel',
  trainings_url: '/trainings',
  trainings_idempotent_url: '/trainings/{training_id}',
  trainings_cancel_url: '/trainings/{training_id}/cancel',
}

/** The body of a 406. */
export const noStreams = {
  error: 'This model does not support streaming responses; its predict function does not yield',
}

/** The body of a 503. */
export const notReady = { error: 'Predictor not ready: Setup has not finished yet', status: 'failed' }

/** What something answers that is no Cog. */
export const html = { 'content-type': 'text/html' }

/** What a webhook hears unless it asks for less. */
export const allEvents: WebhookEvent[] = ['start', 'output', 'logs', 'completed']
