import { isRecord } from '@millrace/models/is-record'
import type { Answer, Question } from './ask-host.ts'
import type { CogHost } from './cog-host.ts'
import { isOver, type Snapshot, snapshotIn } from './cog-snapshot.ts'
import type { Told } from './cog-told.ts'
import { Failed, Unavailable } from './faults.ts'
import type { Call } from './open-remote.ts'
import { hasEvents, type ServerEvent, serverEvents } from './server-events.ts'
import { isWordy, wordyText } from './wordy.ts'

/**
 * Follows a prediction over a stream of events to its end, beginning it when it is not in flight. Answers nothing where
 * the model cannot stream (which is remembered), or where the stream has lost its beginning.
 */
export async function follow(
  question: Question,
  { call, host, told }: Following,
): Promise<Snapshot | undefined> {
  const silence = new AbortController()
  const notReady = host.readySoon(told)
  let timer: NodeJS.Timeout | undefined
  const hearing = () => {
    clearTimeout(timer)
    timer = setTimeout(() => silence.abort(new Unavailable('The stream fell silent.', lost)), call.timeoutMs)
  }

  async function* heard(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
    hearing()
    for await (const bytes of chunks) {
      hearing()
      host.accepted = true
      call.known.ready = true
      yield bytes
    }
  }

  try {
    const opened = await call.ask.open({ ...question, patient: true, signal: silence.signal })
    notReady()
    if (opened.status >= 300 || !hasEvents(opened))
      return await readWhole(await opened.whole(), { call, host })
    let count = 0
    for await (const event of serverEvents(heard(opened.chunks()))) {
      const end = await heed(event, told, count)
      count += 1
      if (end === 'truncated') return undefined
      if (end) host.atWork = undefined
      if (end) return end
    }
    throw new Unavailable('The stream ended before the run did.', lost)
  } finally {
    clearTimeout(timer)
    notReady()
  }
}

/** A container from before there were streams answers as if none had been asked for. */
async function readWhole(
  answer: Answer,
  { call, host }: Pick<Following, 'call' | 'host'>,
): Promise<Snapshot | undefined> {
  call.known.streams = false
  if (answer.status === 406) return undefined
  try {
    const snapshot = await host.read(answer)
    return isOver(snapshot) ? snapshot : undefined
  } catch (error) {
    // A refusal says nothing of streams.
    delete call.known.streams
    throw error
  }
}

async function heed(
  { event, data: text }: ServerEvent,
  told: Told,
  count: number,
): Promise<Snapshot | 'truncated' | undefined> {
  const data = jsonIn(text)
  switch (event) {
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

function jsonIn(data: string): unknown {
  if (isWordy(data)) throw new Failed(wordyText, 'INVALID_OUTPUT')
  try {
    return JSON.parse(data)
  } catch {
    return undefined
  }
}

const lost = { uncertain: true }

interface Following {
  call: Call<'cog'>
  host: CogHost
  told: Told
}
