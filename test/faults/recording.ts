import { createHash } from 'node:crypto'
import { Webhook } from 'standardwebhooks'
import { type Answer, type ReceivedRequest, type Receiver, startReceiver } from '../harness/receiver.ts'
import type { History } from './history.ts'

/** A receiver that checks each webhook as its documentation says and puts it on record. It takes everything until told otherwise. */
export async function startRecording(
  history: History,
  secret: string,
  first: Answering = {},
): Promise<Receiver> {
  const webhook = new Webhook(secret)
  const recorded =
    (next: Answering) =>
    (request: ReceivedRequest, nth: number): Answer => {
      const answer = typeof next === 'function' ? next(request, nth) : next
      const [prediction] = /pred_[0-9a-z]{26}/.exec(request.body) ?? []
      history.record({
        is: 'webhook',
        ...(prediction && { prediction }),
        id: String(request.headers['webhook-id']),
        body: createHash('sha256').update(request.body).digest('hex'),
        sound: verifies(webhook, request),
        answer: answer.cut || answer.hang ? 0 : (answer.status ?? 200),
      })
      return answer
    }
  const receiver = await startReceiver(recorded(first))
  return { ...receiver, answerWith: (next) => receiver.answerWith(recorded(next)) }
}

/** The package refuses a signature whose time is five minutes off. */
function verifies(webhook: Webhook, { body, headers }: ReceivedRequest): boolean {
  try {
    webhook.verify(body, headers as Record<string, string>)
    return true
  } catch {
    return false
  }
}

type Answering = Parameters<Receiver['answerWith']>[0]
