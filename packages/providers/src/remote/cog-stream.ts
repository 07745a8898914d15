import { createParser } from 'eventsource-parser'
import type { Answer, Question } from './ask-host.ts'
import type { CogHost } from './cog-host.ts'
import { isOver, type Snapshot, snapshotIn } from './cog-snapshot.ts'
import type { Told } from './cog-told.ts'
import { Failed, Unavailable } from './faults.ts'
import { isRecord } from './is-record.ts'
import type { Call } from './open-remote.ts'

/**
 * Follows a prediction over a stream of events to its end, beginning it when it is not in flight. Answers nothing where
 * the model cannot stream (which is remembered), or where the stream has lost its beginning.
 */
export async function follow(
  question: Question,
  { call, host, told }: Following,
): Promise<Snapshot | undefined> {
  const silence = new AbortController()
  const events = readEvents()
  const plain: Uint8Array[] = []
  let head: Pick<Answer, 'status' | 'headers'> | undefined
  let timer: NodeJS.Timeout | undefined
  let size = 0
  let count = 0
  const notReady = host.readySoon(told)
  const hearing = () => {
    clearTimeout(timer)
    timer = setTimeout(() => silence.abort(new Unavailable('The stream fell silent.', lost)), call.timeoutMs)
  }
  try {
    const { chunks, ...begun } = await call.ask.open({ ...question, patient: true, signal: silence.signal })
    notReady()
    head = begun
    const streams = isStream(begun)
    if (streams) hearing()
    for await (const bytes of chunks()) {
      if (!streams) {
        size += bytes.length
        if (size > maxAnswerBytes) throw new Failed("The container's answer is too large.", 'INVALID_OUTPUT')
        plain.push(bytes)
        continue
      }
      hearing()
      host.accepted = true
      call.known.ready = true
      for (const event of events.feed(bytes)) {
        const end = await heed(event, told, count)
        count += 1
        if (end === 'truncated') return undefined
        if (end) host.atWork = undefined
        if (end) return end
      }
    }
  } finally {
    clearTimeout(timer)
    notReady()
  }
  if (!head || isStream(head)) throw new Unavailable('The stream ended before the run did.', lost)
  call.known.streams = false
  // A container from before there were streams answers as if none had been asked for.
  const body = jsonIn(Buffer.concat(plain))
  const snapshot = head.status === 406 ? undefined : await host.read({ ...head, body }).catch(notThat(call))
  return snapshot && isOver(snapshot) ? snapshot : undefined
}

/** A refusal says nothing of streams. */
function notThat({ known }: Call<'cog'>) {
  return (error: unknown): never => {
    delete known.streams
    throw error
  }
}

async function heed(
  { name, data }: StreamEvent,
  told: Told,
  count: number,
): Promise<Snapshot | 'truncated' | undefined> {
  switch (name) {
    case 'start':
      told.ready()
      return undefined
    case 'output':
      if (isRecord(data)) await told.chunk(data.chunk, Number(data.index))
      return undefined
    case 'log':
      if (isRecord(data) && typeof data.data === 'string') told.log(data.data)
      return undefined
    case 'error':
      if (count === 0) return 'truncated'
      throw new Unavailable('The container dropped events of the run.', lost)
    case 'completed':
      return snapshotIn(data)
    default:
      return undefined
  }
}

function readEvents() {
  const events: StreamEvent[] = []
  const decoder = new TextDecoder()
  const parser = createParser({
    maxBufferSize: maxAnswerBytes,
    onEvent: ({ event = 'message', data }) => events.push({ name: event, data: jsonIn(data) }),
    onError: (error) => {
      if (error.type === 'max-buffer-size-exceeded')
        throw new Failed('An event of the container is too large.', 'INVALID_OUTPUT')
    },
  })
  return {
    feed(bytes: Uint8Array): StreamEvent[] {
      parser.feed(decoder.decode(bytes, { stream: true }))
      return events.splice(0)
    },
  }
}

function isStream({ status, headers }: Pick<Answer, 'status' | 'headers'>): boolean {
  return status < 300 && /^text\/event-stream/i.test(headers['content-type'] ?? '')
}

function jsonIn(data: Buffer | string): unknown {
  try {
    return JSON.parse(data.toString('utf8'))
  } catch {
    return undefined
  }
}

/** Pictures may come inline, as base64. */
const maxAnswerBytes = 256 * 1024 * 1024

const lost = { uncertain: true }

interface StreamEvent {
  name: string
  data: unknown
}

interface Following {
  call: Call<'cog'>
  host: CogHost
  told: Told
}
