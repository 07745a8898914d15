import type { Database } from '@millrace/database/connect'
import { callbackToken } from '@millrace/keys/callback-token'
import { readCallbacks } from '@millrace/lifecycle/callbacks'
import type { Claim } from '@millrace/lifecycle/claim'
import type { Log } from '@millrace/process/log'
import type { Callback } from '@millrace/providers/provider'
import type { Queue } from '@millrace/queue/open-queue'

/**
 * Brings what hosts report to the runs of this worker. The api takes it and stores it; a signal says so, and should that
 * be lost, what is waited for is looked for once a second. While nobody listens nothing is asked.
 */
export function hearHosts({ db, queue, log, worker, publicUrl, key }: HearingOptions): Hearing {
  const listeners = new Map<string, Listener>()
  let underWay: Promise<void> | undefined
  let again = false

  function look(): void {
    if (underWay) again = true
    else if (listeners.size > 0)
      underWay = read().finally(() => {
        underWay = undefined
        if (again) look()
      })
  }

  async function read(): Promise<void> {
    again = false
    try {
      for (const { id, attempt, body } of await readCallbacks(db, worker, [...listeners.keys()])) {
        const listener = listeners.get(id)
        if (listener?.attempts.includes(attempt)) listener.hear(parsed(body))
      }
    } catch (err) {
      log.warn({ err }, 'what hosts reported could not be read; it is tried again')
    }
  }

  const stopListening = queue.listen('callback', (ids) => {
    if (ids.some((id) => listeners.has(id))) look()
  })
  const timer = setInterval(look, betweenLooksMs)

  return {
    callbackFor({ id, attempt, job }) {
      const attempts = [attempt, ...(job ? [job.attempt] : [])]
      return {
        url: `${publicUrl}/v1/callbacks/${callbackToken(key, { id, attempt })}`,
        listen(hear) {
          const listener = { attempts, hear }
          listeners.set(id, listener)
          // What came before anybody listened.
          look()
          return () => {
            if (listeners.get(id) === listener) listeners.delete(id)
          }
        },
      }
    },
    close() {
      stopListening()
      clearInterval(timer)
    },
  }
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return body
  }
}

const betweenLooksMs = 1_000

export interface Hearing {
  /** Where the host of this attempt may report. What came to the attempt whose job it takes up is heard, too. */
  callbackFor(claim: Claim): Callback
  close(): void
}

interface Listener {
  attempts: number[]
  hear: (body: unknown) => void
}

interface HearingOptions {
  db: Database
  queue: Queue
  log: Log
  worker: string
  publicUrl: string
  key: Buffer
}
