import { setTimeout as delay } from 'node:timers/promises'
import type { FileValue } from '@millrace/models/define-model'
import { isRecord } from '@millrace/models/is-record'
import { leavesJob } from '../../provider.ts'
import { type Answer, retryAfter } from '../ask-host.ts'
import { Failed, Unavailable } from '../faults.ts'
import type { Call } from '../open-remote.ts'
import { fieldsOf, formOf } from './fields.ts'
import { asDeclared } from './output.ts'
import { questionTo } from './question.ts'
import { receiveFile } from './receive-file.ts'
import { hostErrorIn, refusalOf, troubleOf } from './refusals.ts'

/**
 * `POST /videos`, then asks how it is until it is done, then fetches it. The host's id of the video is kept before the
 * wait, and a later attempt takes it up.
 */
export async function performVideo(call: Call<'openai'>): Promise<unknown> {
  const kept = typeof call.job?.id === 'string' ? call.job.id : undefined
  const video = await finished(call, kept ?? (await create(call)), kept !== undefined)
  return asDeclared([video], call.description)
}

async function finished(call: Call<'openai'>, id: string, isKept: boolean): Promise<FileValue> {
  try {
    if (await isDone(call, id)) return await fetchVideo(call, id)
  } catch (error) {
    if (call.signal.aborted && !leavesJob(call.signal)) await remove(call, id)
    throw error
  }
  if (!isKept || call.description.rerun === 'never') {
    throw new Failed('The host does not know the video any more that it began to make.')
  }
  // It was lost while nobody looked: hosts of one's own forget their jobs with their process.
  return finished(call, await create(call), false)
}

/**
 * The id of a new video. A stop does not break it off, since then nobody would know whether there is a video to
 * remove; it is waited for a little longer.
 */
async function create(call: Call<'openai'>): Promise<string> {
  const { lasting, signal, settings } = call
  const form = await formOf(fieldsOf(call, { words: 'prompt', file: 'input_reference' }))
  signal.throwIfAborted()
  const { body } = await lasting(questionTo(settings, '/videos', { method: 'POST', ...form }))
  const id = isRecord(body) ? body.id : undefined
  if (typeof id !== 'string' || id === '') throw new Failed('The host answered without the id of a video.')
  try {
    await call.keep?.({ id })
  } catch (error) {
    // The run is somebody else's, who knows nothing of this video.
    await remove(call, id)
    throw error
  }
  if (signal.aborted && !leavesJob(signal)) await remove(call, id)
  signal.throwIfAborted()
  return id
}

/** Waits for the end of a video's making. False when the host does not know it. */
async function isDone(call: Call<'openai'>, id: string): Promise<boolean> {
  let began = false
  let shown = 0
  for (let polls = 0, misses = 0; ; polls += 1) {
    const asked = await look(call, id).catch((error: unknown) => {
      misses += 1
      if (!(error instanceof Unavailable) || misses >= maxMisses) throw error
      return error
    })
    if (asked instanceof Unavailable) {
      await delay((asked.about.retryAfterSeconds ?? 2 ** misses) * 1000, undefined, { signal: call.signal })
      continue
    }
    misses = 0
    if (asked.status === 404) return false
    const { status, progress, error } = isRecord(asked.body) ? asked.body : {}
    if (typeof status !== 'string') throw new Failed('The host answered without the status of the video.')
    if (ended.has(status)) throw await endOf(call, error)
    if (!waiting.has(status) && !began) {
      began = true
      call.emit({ kind: 'ready' })
    }
    if (done.has(status)) return true
    if (began && typeof progress === 'number' && progress > shown) {
      shown = progress
      call.emit({ kind: 'progress', percent: progress })
    }
    await delay(pauseMs(asked, polls), undefined, { signal: call.signal })
  }
}

function look({ ask, settings }: Call<'openai'>, id: string): Promise<Answer> {
  return ask(questionTo(settings, pathOf(id), { takes: [404] }))
}

/** What a video came to that failed. One that may be tried again is forgotten first: it will not change any more. */
async function endOf({ keep }: Call<'openai'>, error: unknown): Promise<Error> {
  const fault = troubleOf(hostErrorIn({ error }), { uncertain: false })
  if (fault instanceof Unavailable) await keep?.({})
  return fault
}

/** Hosts keep videos for an hour or a day. */
function fetchVideo(call: Call<'openai'>, id: string): Promise<FileValue> {
  const { settings } = call
  const question = questionTo(settings, `${pathOf(id)}/content`, {
    headers: { accept: '*/*' },
    fault: (answer) =>
      answer.status === 404 || answer.status === 410
        ? new Failed('The host does not have the video any more.')
        : refusalOf(answer, settings),
  })
  return receiveFile(call, question, { name: 'video', otherwise: 'video/mp4' })
}

/** Cancels it, too. Some hosts refuse that while it is made, and then it is made for nobody. */
async function remove({ lasting, settings }: Call<'openai'>, id: string): Promise<void> {
  await lasting(questionTo(settings, pathOf(id), { method: 'DELETE' })).catch(() => undefined)
}

/** What the host asks for, else soon at first and then every ten seconds. */
function pauseMs({ headers }: Answer, polls: number): number {
  const stated = Number(headers['openai-poll-after-ms'])
  if (stated > 0) return Math.min(stated, 60_000)
  const seconds = retryAfter(headers)
  return seconds === undefined ? Math.min(1000 * 1.5 ** polls, 10_000) : seconds * 1000
}

function pathOf(id: string): string {
  return `/videos/${encodeURIComponent(id)}`
}

const waiting: ReadonlySet<string> = new Set(['queued', 'pending'])
const done: ReadonlySet<string> = new Set(['completed', 'succeeded'])
const ended: ReadonlySet<string> = new Set(['failed', 'cancelled', 'canceled', 'expired', 'incomplete'])

/** A host that misses one question is asked again; one that misses so many in a row is away. */
const maxMisses = 3
