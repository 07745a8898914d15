import type { ServerResponse } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { type CogInput, InvalidInput, obey, type Scope } from './cog-model.ts'
import { sendWebhook, type WebhookSettings } from './cog-webhooks.ts'

/** One prediction inside the fake container, from its acceptance until it is forgotten. */
export class CogPrediction {
  readonly id: string
  readonly mode: Mode
  /** Comes about when the predictor has stopped and the slot is free. */
  readonly ended: Promise<void>
  status: Status = 'starting'
  error: string | undefined
  invalid = false
  #chunks: unknown[] = []
  #logs = ''
  #logsSentAt = Number.NEGATIVE_INFINITY
  #metrics: Record<string, unknown> = {}
  #history: string[] = []
  #skipped = 0
  #subscribers = new Set<ServerResponse>()
  #abort = new AbortController()
  #asked: Asked
  #settings: PredictionSettings

  constructor(asked: Asked, settings: PredictionSettings) {
    this.id = asked.id
    this.mode = asked.mode
    this.#asked = asked
    this.#settings = settings
    this.ended = this.#perform()
  }

  /** The body of webhooks, of answers that wait, and of `completed`. */
  snapshot(): Record<string, unknown> {
    const { id, status, error } = this
    return {
      id,
      status,
      logs: this.#logs,
      ...(this.#chunks.length > 0 && status !== 'failed' ? { output: this.#output() } : {}),
      ...(error === undefined ? {} : { error }),
      metrics: this.#metrics,
    }
  }

  cancel(): void {
    this.#abort.abort(new Error('CancelationException'))
  }

  get isCancelled(): boolean {
    return this.#abort.signal.aborted
  }

  /** Answers false when there are too many already. A replay that lost its beginning is an error and ends. */
  subscribe(response: ServerResponse): boolean {
    if (this.#subscribers.size >= this.#settings.maxSubscribers) return false
    response
      .writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' })
      .flushHeaders()
    if (this.#skipped > 0) {
      const error = 'SSE stream replay truncated; events were dropped'
      response.end(eventText('error', { error, skipped: this.#skipped }))
      return true
    }
    for (const event of this.#history) response.write(event)
    if (isOver(this.status)) {
      response.end()
      return true
    }
    const keepAlive = setInterval(() => response.write(': keep-alive\n\n'), 15_000).unref()
    this.#subscribers.add(response)
    response.once('close', () => {
      clearInterval(keepAlive)
      this.#subscribers.delete(response)
      if (this.mode === 'sse' && this.#subscribers.size === 0 && !isOver(this.status)) this.cancel()
    })
    return true
  }

  async #perform(): Promise<void> {
    const { input } = this.#asked
    const started = performance.now()
    try {
      if (input.do === 'slow-start') await delay(300, undefined, { signal: this.#abort.signal })
      else await delay(0)
      this.status = 'processing'
      this.#emit('start', { id: this.id, status: 'processing' })
      this.#report('start')
      for await (const chunk of obey(input, this.#scope())) {
        this.#abort.signal.throwIfAborted()
        this.#emit('output', { chunk, index: this.#chunks.length })
        this.#chunks.push(chunk)
        this.#report('output')
      }
      this.status = 'succeeded'
    } catch (error) {
      await this.#stopped(error)
    }
    this.#metrics.predict_time = (performance.now() - started) / 1000
    this.#emit('completed', this.snapshot())
    for (const response of this.#subscribers) response.end()
    this.#settings.forget(this)
    this.#report('completed')
  }

  async #stopped(error: unknown): Promise<void> {
    if (this.#abort.signal.aborted) {
      // The slot stays taken until the predictor has noticed.
      await this.#settings.untilNoticed()
      this.status = 'canceled'
      return
    }
    this.status = 'failed'
    this.error = error instanceof Error ? error.message : String(error)
    this.invalid = error instanceof InvalidInput
  }

  /** A predictor that yields has an array for its output, any other the value it returned. */
  #output(): unknown {
    return this.#settings.streaming || this.#chunks.length > 1 ? [...this.#chunks] : this.#chunks[0]
  }

  #scope(): Scope {
    return {
      signal: this.#abort.signal,
      released: this.#settings.released,
      file: this.#settings.file,
      print: (source, data) => {
        this.#logs += data
        this.#emit('log', { source, data })
        if (performance.now() - this.#logsSentAt < 500) return
        this.#logsSentAt = performance.now()
        this.#report('logs')
      },
      measure: (name, value) => {
        this.#metrics[name] = value
        this.#emit('metric', { name, value, mode: 'replace' })
      },
    }
  }

  #emit(name: string, data: object): void {
    const text = eventText(name, data)
    this.#history.push(text)
    if (this.#history.length > this.#settings.historyCapacity) {
      this.#history.shift()
      if (this.#settings.historyCapacity > 0) this.#skipped += 1
    }
    for (const response of this.#subscribers) response.write(text)
  }

  #report(event: WebhookEvent): void {
    const { webhook, events, headers } = this.#asked
    if (webhook === undefined || !events.includes(event)) return
    void sendWebhook(webhook, this.snapshot(), event === 'completed', headers, this.#settings.webhooks)
  }
}

function eventText(name: string, data: object): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`
}

function isOver(status: Status): boolean {
  return status !== 'starting' && status !== 'processing'
}

export type Mode = 'sync' | 'async' | 'sse'

export type WebhookEvent = 'start' | 'output' | 'logs' | 'completed'

type Status = 'starting' | 'processing' | 'succeeded' | 'failed' | 'canceled'

/** What a caller asked for. */
export interface Asked {
  id: string
  mode: Mode
  input: CogInput
  webhook: string | undefined
  events: readonly WebhookEvent[]
  /** `traceparent` and `tracestate`, copied to webhooks. */
  headers: Record<string, string>
}

/** Of the container. */
export interface PredictionSettings {
  /** The predictor yields. */
  streaming: boolean
  historyCapacity: number
  maxSubscribers: number
  released: Promise<void>
  webhooks: WebhookSettings
  file(bytes: string): Promise<string>
  /** How long a predictor takes to notice that it was cancelled. */
  untilNoticed(): Promise<void>
  forget(prediction: CogPrediction): void
}
