import type { ServerResponse } from 'node:http'
import { sendJson } from './cloud.ts'
import type { CloudInput, CloudJob, CloudOutput } from './cloud-work.ts'

/** One request of the fake fal: what its status says, who follows it, what it answers in the end. */
export class FalRequest {
  status: 'IN_QUEUE' | 'IN_PROGRESS' | 'COMPLETED' = 'IN_QUEUE'
  #made: Made
  #logs: LogLine[] = []
  #result: Result | undefined
  #followers = new Map<ServerResponse, Follower>()

  constructor(made: Made) {
    this.#made = made
  }

  get id(): string {
    return this.#made.id
  }

  get hasBegun(): boolean {
    return this.status !== 'IN_QUEUE'
  }

  get isOver(): boolean {
    return this.status === 'COMPLETED'
  }

  /** How the work on it tells of itself. */
  job(released: Promise<void>, stored: (url: string) => Buffer | undefined): CloudJob {
    return {
      input: this.#made.input,
      released,
      stored,
      begin: () => {
        if (this.isOver) return false
        this.status = 'IN_PROGRESS'
        this.#tell()
        return true
      },
      log: (message) => {
        if (this.isOver) return
        this.#logs.push({ message, timestamp: new Date().toISOString(), level: 'STDOUT', source: 'USER' })
        this.#tell()
      },
      // A request has no output before its end.
      say: () => undefined,
      succeed: (output) => {
        if (this.#made.input.do !== 'refuse-input')
          return this.end({ status: 200, body: this.#bodyOf(output) })
        this.end({
          status: 422,
          body: {
            detail: [
              { loc: ['body', 'text'], msg: 'String should match pattern', type: 'string_pattern_mismatch' },
            ],
          },
        })
      },
      fail: (why, words) => {
        if (why === 'model') return this.end({ status: 400, body: { detail: words } })
        const msg =
          'The content could not be processed because it contained material flagged by a content checker.'
        this.end({
          status: 422,
          body: { detail: [{ loc: ['body', 'text'], msg, type: 'content_policy_violation' }] },
          headers: { 'x-fal-needs-retry': '0' },
        })
      },
    }
  }

  submitted() {
    return {
      ...this.#urls(),
      status: 'IN_QUEUE',
      queue_position: this.#made.ahead,
      gateway_request_id: this.id,
    }
  }

  shown(logs: boolean, from = 0) {
    const { error, error_type } = this.#fault()
    return {
      ...this.#urls(),
      status: this.status,
      ...(this.status === 'IN_QUEUE' ? { queue_position: this.#made.ahead } : {}),
      ...(this.status !== 'IN_QUEUE' ? { logs: logs ? this.#logs.slice(from) : null } : {}),
      ...(this.isOver ? { metrics: { inference_time: 0.5 } } : {}),
      ...(error === undefined ? {} : { error }),
      ...(error_type === undefined ? {} : { error_type }),
    }
  }

  /** Events with what is new in the logs, until it is completed. */
  follow(response: ServerResponse, logs: boolean): void {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    const follower = { logs, told: 0 }
    this.#followers.set(response, follower)
    this.#write(response, follower)
  }

  answer(response: ServerResponse): void {
    const early = { status: 400, body: { detail: 'Request is still in progress' }, headers: {} }
    const { status, body, headers } = this.#result ?? early
    const { error_type } = this.#fault()
    sendJson(response, status, body, {
      'x-fal-request-id': this.id,
      ...(error_type ? { 'x-fal-error-type': error_type } : {}),
      ...headers,
    })
  }

  end(result: Result): void {
    if (this.isOver) return
    this.status = 'COMPLETED'
    this.#result = result
    this.#tell()
    const { webhook } = this.#made
    if (webhook !== undefined) void this.#post(webhook, result)
  }

  cancel(): { status: number; body: unknown } {
    if (this.isOver) return { status: 400, body: { status: 'ALREADY_COMPLETED' } }
    const waited = this.status === 'IN_QUEUE'
    this.end({ status: 499, body: { detail: 'Request was cancelled', error_type: 'client_cancelled' } })
    return waited
      ? { status: 200, body: { status: 'OK' } }
      : { status: 202, body: { status: 'CANCELLATION_REQUESTED' } }
  }

  #urls() {
    const at = `${this.#made.at}/requests/${this.id}`
    return { request_id: this.id, response_url: at, status_url: `${at}/status`, cancel_url: `${at}/cancel` }
  }

  #fault(): { error?: string; error_type?: string } {
    const { status, body } = this.#result ?? { status: 200, body: {} }
    const { detail, error_type } = body as { detail?: unknown; error_type?: string }
    if (status < 400 || error_type === undefined) return {}
    return { error: String(detail), error_type }
  }

  #bodyOf(output: CloudOutput): unknown {
    if ('parts' in output) return { output: output.parts.join('') }
    // Models that write call it output, those that listen call it text.
    const name = 'audio_url' in this.#made.input ? 'text' : 'output'
    if ('text' in output) return { [name]: output.text }
    const file = { url: this.#made.keepFile(output.file), content_type: 'text/plain', file_name: 'made.txt' }
    return {
      images: [{ ...file, file_size: output.file.length, width: 4, height: 3 }],
      seed: 7,
      has_nsfw_concepts: [false],
    }
  }

  #tell(): void {
    for (const [response, follower] of this.#followers) this.#write(response, follower)
  }

  #write(response: ServerResponse, follower: Follower): void {
    response.write(`data: ${JSON.stringify(this.shown(follower.logs, follower.told))}\n\n`)
    follower.told = this.#logs.length
    if (!this.isOver) return
    this.#followers.delete(response)
    response.end()
  }

  async #post(webhook: string, { status, body }: Result): Promise<void> {
    const ok = status < 400
    const payload = {
      request_id: this.id,
      gateway_request_id: this.id,
      status: ok ? 'OK' : 'ERROR',
      payload: body,
    }
    const headers = { 'content-type': 'application/json', 'x-fal-webhook-request-id': this.id }
    await fetch(webhook, { method: 'POST', body: JSON.stringify(payload), headers }).catch(() => undefined)
  }
}

interface Made {
  id: string
  input: CloudInput
  /** The address of its app. */
  at: string
  webhook: string | undefined
  /** Who waits before it. */
  ahead: number
  /** Answers the address of a file of the output. */
  keepFile(bytes: Buffer): string
}

interface Result {
  status: number
  body: unknown
  headers?: Record<string, string>
}

interface LogLine {
  message: string
  timestamp: string
  level: string
  source: string
}

interface Follower {
  logs: boolean
  /** Log lines that it has had. */
  told: number
}
