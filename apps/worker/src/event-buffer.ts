import { createBatcher } from '@millrace/database/batch'
import { sanitise, sanitiseText } from '@millrace/database/sanitise'
import type { Fence } from '@millrace/lifecycle/claim'
import type { NewEvent } from '@millrace/lifecycle/events'

/**
 * Gathers what runs say before it is stored: parts of one kind are joined until 75 ms have passed or 16 KB have come
 * together, and the events of concurrent runs are appended in one statement. Each run's events stay in order.
 */
export function createEventBuffer({ append, appended, onDropped }: EventBufferOptions): EventBuffer {
  const batcher = createBatcher<NewEvent[], undefined>({
    async flush(batch) {
      const events = batch.flat()
      await append(events)
      appended([...new Set(events.map(({ id }) => id))])
      return batch.map(() => undefined)
    },
    weigh: (events) => events.reduce((sum, { data }) => sum + data.length, 0),
    isPoison: () => true,
  })
  const store = async (events: NewEvent[]) => {
    if (events.length > 0) await batcher.add(events).catch(onDropped)
  }
  return { open: (fence) => openRunEvents(fence, store) }
}

function openRunEvents({ id, attempt }: Fence, store: (events: NewEvent[]) => Promise<void>): RunEvents {
  const gathered = { output: '', log: '' }
  /** Output before what is gathered now. */
  let earlier: string[] = []
  let progress: number | undefined
  let shown = -1
  let timer: NodeJS.Timeout | undefined
  let gate: Promise<unknown> = Promise.resolve()
  let sent: Promise<unknown> = Promise.resolve()
  let leaving = false
  let batch = 0

  function take(): NewEvent[] {
    clearTimeout(timer)
    timer = undefined
    batch++
    const events: NewEvent[] = []
    const add = (kind: NewEvent['kind'], data: string) => events.push({ id, attempt, kind, data, batch })
    if (gathered.log !== '') add('log', JSON.stringify({ text: sanitiseText(gathered.log) }))
    endText()
    for (const data of earlier) add('output', data)
    if (progress !== undefined) add('progress', String(progress))
    gathered.log = ''
    earlier = []
    progress = undefined
    return events
  }

  function endText(): void {
    if (gathered.output !== '') earlier.push(JSON.stringify({ delta: sanitiseText(gathered.output) }))
    gathered.output = ''
  }

  // What comes while an earlier part is being stored joins the next one.
  function flush(): Promise<unknown> {
    if (leaving) return sent
    leaving = true
    sent = sent
      .then(() => gate)
      .then(() => {
        leaving = false
        return store(take())
      })
    return sent
  }

  function gather(kind: 'output' | 'log', text: string): void {
    gathered[kind] += text
    if (gathered[kind].length >= maxLength) void flush()
    else timer ??= setTimeout(flush, delayMs)
  }

  return {
    output: (delta) => gather('output', delta),
    item(item) {
      endText()
      earlier.push(JSON.stringify({ delta: '', item: sanitise(item) }))
      timer ??= setTimeout(flush, delayMs)
    },
    log: (text) => gather('log', text),
    progress(percent) {
      if (!(percent > shown)) return
      shown = Math.min(100, percent)
      progress = shown
      timer ??= setTimeout(flush, delayMs)
    },
    holdUntil(moment) {
      gate = moment.catch(() => undefined)
    },
    flushed: () => flush(),
  }
}

const delayMs = 75
const maxLength = 16 * 1024

export interface EventBuffer {
  open(fence: Fence): RunEvents
}

/** What one attempt says. */
export interface RunEvents {
  output(delta: string): void
  /** A part of the output that is whole and no text, in its place among the text. */
  item(item: unknown): void
  log(text: string): void
  /** Only ever rises. */
  progress(percent: number): void
  /** Nothing more is stored before `moment` has come. */
  holdUntil(moment: Promise<unknown>): void
  /** Resolves when everything said so far is stored. */
  flushed(): Promise<unknown>
}

interface EventBufferOptions {
  append: (events: NewEvent[]) => Promise<void>
  appended: (ids: string[]) => void
  onDropped: (error: unknown) => void
}
