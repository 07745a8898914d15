import type { ServerResponse } from 'node:http'
import type { CloudInput, CloudJob, CloudOutput } from './cloud-work.ts'

/** One prediction of the fake Replicate: what it shows, who follows it, whom it tells. */
export class Prediction {
  status: Status = 'starting'
  readonly ended: Promise<void>
  #made: Made
  #done: () => void
  #logs = ''
  #output: unknown = null
  #error: string | null = null
  #removed = false
  #times: Record<'created_at' | 'started_at' | 'completed_at', string | null>
  /** All events of the stream so far: who comes late hears them, too. */
  #events: string[] = []
  #followers = new Set<ServerResponse>()
  /** One webhook after the other. */
  #told: Promise<unknown> = Promise.resolve()

  constructor(made: Made) {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#made = made
    this.ended = promise
    this.#done = resolve
    this.#times = { created_at: new Date().toISOString(), started_at: null, completed_at: null }
  }

  shown() {
    const { id, input, base, streams } = this.#made
    const at = `${base}/predictions/${id}`
    return {
      id,
      model: 'acme/everything',
      version: 'hidden',
      input: this.#removed ? {} : input,
      logs: this.#logs,
      output: this.#output,
      data_removed: this.#removed,
      error: this.#error,
      source: 'api',
      status: this.status,
      ...this.#times,
      metrics: this.#times.completed_at ? { predict_time: 0.012683, total_time: 0.14 } : {},
      urls: {
        get: at,
        cancel: `${at}/cancel`,
        web: `https://replicate.com/p/${id}`,
        ...(streams ? { stream: `${base}/stream/${id}` } : {}),
      },
    }
  }

  /** How the work on it tells of itself. */
  job(released: Promise<void>, stored: (url: string) => Buffer | undefined): CloudJob {
    return {
      input: this.#made.input,
      released,
      stored,
      begin: () => {
        if (this.status !== 'starting') return false
        this.status = 'processing'
        this.#times.started_at = new Date().toISOString()
        this.#tell('start')
        return true
      },
      log: (line) => {
        if (this.isOver) return
        this.#logs += `${line}\n`
        this.#send('logs', `${line}\n`)
        this.#tell('logs')
      },
      say: (part) => {
        if (this.isOver) return
        this.#output = [...(Array.isArray(this.#output) ? this.#output : []), part]
        this.#send('output', part)
        this.#tell('output')
      },
      succeed: (output) => this.end('succeeded', { output: this.#shapeOf(output) }),
      fail: (why, words) =>
        this.end('failed', {
          error:
            why === 'model'
              ? words
              : 'The input or output was flagged as sensitive. Please try again with different inputs. (E005)',
        }),
    }
  }

  end(status: Status, { output = null, error = null }: { output?: unknown; error?: string | null }): void {
    if (this.isOver) return
    this.status = status
    this.#output = output
    this.#error = error
    this.#times.completed_at = new Date().toISOString()
    if (typeof output === 'string') this.#send('output', output)
    if (status === 'failed') this.#send('error', JSON.stringify({ detail: error }))
    this.#send(
      'done',
      status === 'succeeded' ? '{}' : JSON.stringify({ reason: status === 'failed' ? 'error' : status }),
    )
    for (const follower of this.#followers) follower.end()
    this.#tell('completed')
    this.#done()
  }

  /** Answers whether there was something to cancel. */
  cancel(): boolean {
    const open = !this.isOver
    this.end('canceled', {})
    return open
  }

  removeData(): void {
    this.#removed = true
    this.#output = null
    this.#logs = ''
  }

  follow(response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write(': hello\n\n')
    for (const event of this.#events) response.write(event)
    if (this.isOver) response.end()
    else this.#followers.add(response)
  }

  get hasBegun(): boolean {
    return this.status !== 'starting'
  }

  get isOver(): boolean {
    return this.status !== 'starting' && this.status !== 'processing'
  }

  #shapeOf(output: CloudOutput): unknown {
    if ('file' in output) return this.#made.keepFile(output.file)
    return 'parts' in output ? output.parts : output.text
  }

  #send(event: string, data: string): void {
    const lines = data.split('\n').map((line) => `data: ${line}\n`)
    const text = `event: ${event}\nid: ${Date.now()}:${this.#events.length}\n${lines.join('')}\n`
    this.#events.push(text)
    for (const follower of this.#followers) follower.write(text)
  }

  #tell(event: string): void {
    const { webhook, events } = this.#made
    if (webhook === undefined || (events && !events.includes(event))) return
    const body = JSON.stringify(this.shown())
    const headers = { 'content-type': 'application/json' }
    const post = () => fetch(webhook, { method: 'POST', body, headers, redirect: 'manual' })
    this.#told = this.#told.then(post).catch(() => undefined)
  }
}

type Status = 'starting' | 'processing' | 'succeeded' | 'failed' | 'canceled' | 'aborted'

interface Made {
  id: string
  input: CloudInput
  base: string
  streams: boolean
  webhook: string | undefined
  events: string[] | undefined
  /** Answers the address of a file of the output. */
  keepFile(bytes: Buffer): string
}
