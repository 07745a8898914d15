import { createHash } from 'node:crypto'
import { Webhook } from 'standardwebhooks'
import { type Answer, type ReceivedRequest, type Receiver, startReceiver } from '../harness/receiver.ts'
import type { History } from './history.ts'
import { wordIn } from './words.ts'

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
      // Whoever else tries the doors of this machine sends no webhook.
      if (request.method === 'POST')
        history.record({
          is: 'webhook',
          ...toldBy(request.body),
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

/** What a body says, of whom, and the word in the output that it shows; nothing of one that is no webhook of a prediction. */
function toldBy(body: string): { event?: string; prediction?: string; word?: string } {
  try {
    const { type, data } = JSON.parse(body) as { type?: string; data?: { id?: string; output?: unknown } }
    const word = wordIn(data?.output)
    return { ...(type && { event: type }), ...(data?.id && { prediction: data.id }), ...(word && { word }) }
  } catch {
    return {}
  }
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
