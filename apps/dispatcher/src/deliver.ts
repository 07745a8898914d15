import type { Batcher } from '@millrace/database/batch'
import { databaseNow } from '@millrace/database/clock'
import type { ClaimedDelivery } from './claim-due.ts'
import type { Answer, Post } from './post.ts'
import type { PreparedDelivery, UnwantedDelivery } from './prepare.ts'
import type { Recorded } from './record.ts'
import { requestHeaders } from './request-headers.ts'
import { judge } from './verdict.ts'

/** prepared -> posted -> recorded: each stage is a type of its own, so none can be skipped. This is the request. */
export async function send(post: Post, prepared: PreparedDelivery): Promise<PostedDelivery> {
  const { delivery, body, secrets } = prepared
  const made = prepared.made + 1
  if (secrets.length === 0) return { delivery, made, answer: unsigned() }
  return { delivery, made, answer: await post.post(delivery.url, requestHeaders(prepared), body) }
}

/** Writes down what came of a request. Returns what happened, for the one log line of this attempt. */
export async function record(results: Results, posted: PostedDelivery): Promise<Report> {
  const verdict = judge(posted)
  const held = await results.add({ ...posted, verdict })
  return { ...posted, result: held ? verdict.state : 'superseded' }
}

/** A delivery that nobody wants is ended without a request. */
export async function drop(results: Results, { delivery }: UnwantedDelivery): Promise<void> {
  await results.add({ delivery, answer: undefined, verdict: { state: 'dropped', gone: false } })
}

/** A delivery whose turn did not come is due again at once, for whoever has a slot. */
export async function giveBack(results: Results, { delivery }: PreparedDelivery): Promise<void> {
  await results.add({ delivery, answer: undefined, verdict: { state: 'due', waitSeconds: 0 } })
}

function unsigned(): Answer {
  const error = 'There is no signing secret that can be read; nothing was sent'
  return { kind: 'unsigned', error, at: new Date(databaseNow()), durationMs: 0 }
}

type Results = Batcher<Recorded, boolean>

/** A delivery whose request was made, and what came of it. */
export interface PostedDelivery {
  delivery: ClaimedDelivery
  /** The attempts made, this one among them: the step of the schedule. */
  made: number
  answer: Answer
}

/** `superseded`: the lease had run out and the result changed nothing but the list of attempts. */
export interface Report extends PostedDelivery {
  result: 'delivered' | 'dropped' | 'due' | 'exhausted' | 'superseded'
}
