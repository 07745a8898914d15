import type { Batcher } from '@millrace/database/batch'
import { databaseNow } from '@millrace/database/clock'
import type { ClaimedDelivery } from './claim-due.ts'
import type { Answer, Post } from './post.ts'
import type { PreparedDelivery, UnwantedDelivery } from './prepare.ts'
import type { Recorded } from './record.ts'
import { requestHeaders } from './request-headers.ts'
import { judge, type Verdict } from './verdict.ts'

/** prepared -> posted -> recorded: each stage is a type of its own, so none can be skipped. This is the request. */
export async function send(post: Post, prepared: PreparedDelivery): Promise<PostedDelivery> {
  const { delivery, body, secrets } = prepared
  const made = prepared.made + 1
  const answer =
    secrets.length === 0 ? unsigned() : await post.post(delivery.url, requestHeaders(prepared), body)
  return { delivery, answer, verdict: judge(made, answer) }
}

/** Writes down what came of a request. Returns what happened, for the one log line of this attempt. */
export async function record(results: Results, posted: PostedDelivery): Promise<Report> {
  const held = await results.add(posted)
  return { ...posted, result: held ? posted.verdict.state : 'superseded' }
}

/** A delivery that nobody wants is ended without a request. */
export async function drop(results: Results, { delivery }: UnwantedDelivery): Promise<void> {
  await results.add({ delivery, answer: undefined, verdict: { state: 'dropped', gone: false } })
}

/** A delivery whose turn did not come is due again at once, for whoever has a slot. */
export async function giveBack(results: Results, { delivery }: PreparedDelivery): Promise<void> {
  await results.add({ delivery, answer: undefined, verdict: { state: 'due', waitSeconds: 0, untried: true } })
}

function unsigned(): Answer {
  const error = 'There is no signing secret that can be read; nothing was sent'
  return { kind: 'unsigned', error, at: new Date(databaseNow()), durationMs: 0 }
}

type Results = Batcher<Recorded, boolean>

/** A delivery whose request was made, and what came of it. */
export interface PostedDelivery {
  delivery: ClaimedDelivery
  answer: Answer
  verdict: Verdict
}

/** `superseded`: the lease had run out and the result changed nothing but the list of attempts. */
export interface Report extends PostedDelivery {
  result: 'delivered' | 'dropped' | 'due' | 'exhausted' | 'superseded'
}
