import type { RunEvent } from './provider.ts'

/**
 * Bounds what one run may say: a megabyte of logs, then a note that the rest is dropped; progress four times a second,
 * the newest value last; a thousand reports of usage. Used on both sides of the pipe: in the model's process so that a flood is never sent, and in
 * the parent because a model may get round that.
 */
export function calmEvents(emit: (event: RunEvent) => void): CalmEvents {
  const log = boundedLog((text) => emit({ kind: 'log', text }))
  const pace = pacedProgress((percent) => emit({ kind: 'progress', percent }))
  let reports = 0
  return {
    emit(event) {
      switch (event.kind) {
        case 'log':
          log(event.text)
          break
        case 'progress':
          pace.set(event.percent)
          break
        case 'usage':
          if (++reports <= MAX_REPORTS) emit(event)
          break
        default:
          emit(event)
      }
    },
    end: pace.end,
  }
}

function boundedLog(write: (text: string) => void): (text: string) => void {
  let left = MAX_LOG_BYTES
  let full = false
  return (text) => {
    const size = full ? 0 : Buffer.byteLength(text)
    if (size === 0) {
      return
    }
    full = size > left
    write(
      full
        ? `${cut(text, left)}\n[The rest of the log was dropped: a run may log ${MAX_LOG_BYTES >> 20} MB.]\n`
        : text,
    )
    left -= size
  }
}

/** The start of a text that fits, without a character cut in half. */
function cut(text: string, bytes: number): string {
  return Buffer.from(text.slice(0, bytes))
    .subarray(0, bytes)
    .toString('utf8')
    .replace(/\uFFFD$/, '')
}

function pacedProgress(write: (percent: number) => void) {
  let waiting: number | undefined
  let timer: NodeJS.Timeout | undefined
  const send = (percent: number) => {
    waiting = undefined
    timer = setTimeout(() => {
      timer = undefined
      if (waiting !== undefined) {
        send(waiting)
      }
    }, PROGRESS_INTERVAL_MS).unref()
    write(percent)
  }
  return {
    set(percent: number) {
      if (!Number.isFinite(percent)) {
        return
      }
      const sane = Math.min(100, Math.max(0, percent))
      if (timer) {
        waiting = sane
      } else {
        send(sane)
      }
    },
    end() {
      clearTimeout(timer)
      waiting = undefined
    },
  }
}

const MAX_LOG_BYTES = 1024 * 1024

const MAX_REPORTS = 1000

const PROGRESS_INTERVAL_MS = 250

/** An `emit` with bounds. `end` when the run is over: nothing is emitted late. */
export interface CalmEvents {
  emit(event: RunEvent): void
  end(): void
}
