import { setTimeout as sleep } from 'node:timers/promises'
import { defineModel } from '@millrace/models/define-model'
import { z } from 'zod'
import { ask } from './parrot/ask.ts'
import { readOrders } from './parrot/orders.ts'

export default defineModel({
  namespace: 'parrot',
  name: 'Parrot',
  type: 'text',
  description:
    'A chat model that repeats what it is told, for trying clients: no intelligence, but streams, tools, images and ' +
    'every way to go wrong. A last message may hold orders: `/slow 50` (milliseconds between parts), `/fail 3` (fails ' +
    'after three parts), `/stall 3` (says nothing more), `/cut 3` (ends for length), `/refuse`, `/think`.',
  apis: ['chat', 'responses'],
  capabilities: ['streaming', 'tools', 'vision', 'json'],
  concurrency: 256,
  input: z.looseObject({
    messages: z.array(z.looseObject({ role: z.string() })).describe('The conversation so far'),
  }),
  async *run(request, { signal }) {
    const { said, orders } = readOrders(request.messages)
    const answer = ask(request, said)
    if (orders.refuse) {
      yield { refusal: 'I would rather not say that.' }
      return
    }
    if (orders.think) yield { reasoning_content: 'A parrot repeats.' }
    const parts = (answer.text ?? '').match(/\s*\S+/g) ?? []
    for (const [index, part] of parts.entries()) {
      if (index === orders.fail) throw new Error('The parrot was told to fail.')
      if (index === orders.stall) await sleep(24 * 3600 * 1000, undefined, { signal })
      if (index === orders.cut || index === answer.limit) {
        yield { finish_reason: 'length', usage: usageOf(answer.words, index) }
        return
      }
      if (orders.slow > 0) await sleep(orders.slow, undefined, { signal })
      yield part
    }
    if (orders.fail >= parts.length) throw new Error('The parrot was told to fail.')
    if (answer.calls.length > 0) yield { tool_calls: answer.calls }
    yield { usage: usageOf(answer.words, parts.length + answer.calls.length) }
  },
})

/** To a parrot a word is a token. */
function usageOf(prompt: number, completion: number) {
  return { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion }
}
