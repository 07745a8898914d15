import { countText } from '@millrace/inference/count-tokens'
import { limitAnswer, mostTokens } from '@millrace/inference/limit-answer'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type RemoteService, startRemoteService } from './given-hosts.ts'
import { answering, away, givenHttpHost } from './given-http-hosts.ts'
import { givenPayer, givenPriced, messages, settled } from './given-payers.ts'
import { chunk, chunked, completion, event, whole } from './hosts/chat.ts'
import { untilEnded } from './until-ended.ts'

let service: RemoteService
beforeAll(async () => {
  service = await startRemoteService()
})
afterAll(() => service.stop())

const counted = (prompt_tokens: number, completion_tokens: number) => ({
  usage: { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens },
})
const saying = (prompt: number, answer: number) =>
  whole(200, completion('Hello mill', counted(prompt, answer)))

describe('what inference answers later is charged in full, since all that it may come to is held', () => {
  const picture = { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } }

  test.each<[string, object, [number, number]]>([
    ['with a field that no host reads', { messages, max_output_tokens: 1, max_tokens: 100 }, [3, 90]],
    ['with both names of a limit', { messages, max_completion_tokens: 60, max_tokens: 90 }, [3, 60]],
    ['of several answers', { messages, max_tokens: 30, n: 4 }, [3, 120]],
    ['of a picture', { messages: [{ role: 'user', content: [picture] }], max_tokens: 1 }, [700, 1]],
  ])('a run %s', async (_what, inputs, [prompt, answer]) => {
    const payer = await givenPayer(service, 5_000)
    const { model } = await givenPriced(service, saying(prompt, answer), { max_output_tokens: 100 })

    const job = await payer.call('POST /v1/run', { body: { model, inputs, async: true } })
    await untilEnded(payer.call, job.body.job_id)

    const balance = 5_000 - prompt - 2 * answer
    expect(await settled(service, payer)).toEqual({ balance, charges: 1 })
  })

  test('a response in the background that goes on from a long one', async () => {
    const payer = await givenPayer(service, 5_000)
    const { model, host } = await givenPriced(service, saying(1, 1))
    const input = 'the wheel of the mill turns '.repeat(100)
    const first = await payer.call('POST /v1/responses', { body: { model, input } })
    host.answerWith(saying(600, 10))

    const { body } = await payer.call('POST /v1/responses', {
      body: { model, input: 'why?', background: true, previous_response_id: first.body.id },
    })
    await untilEnded(payer.call, body.id.replace('resp_', 'pred_'))

    expect(await settled(service, payer)).toEqual({ balance: 5_000 - 3 - 620, charges: 2 })
  })
})

test('of two limits the smaller is held for, and the host hears no other', async () => {
  const payer = await givenPayer(service, 10)
  const { model, host } = await givenPriced(service, saying(3, 1))
  const body = { model, messages, max_completion_tokens: 1, max_tokens: 1_000_000 }

  expect((await payer.call('POST /v1/chat/completions', { body })).status).toBe(200)

  expect(host.asked[0]?.body).toMatchObject({ max_completion_tokens: 1, max_tokens: 1 })
})

test.each<[object, object, number]>([
  [{ max_completion_tokens: 1, max_tokens: 50 }, { max_completion_tokens: 1, max_tokens: 1 }, 1],
  [{ max_completion_tokens: 50, max_tokens: 2, n: 3 }, { max_completion_tokens: 2, max_tokens: 2 }, 6],
  [{ max_completion_tokens: 5 }, { max_completion_tokens: 5 }, 5],
  [{}, { max_tokens: 100 }, 100],
])('a request with %j is sent with %j, and held with %i tokens of answers', (asked, sent, most) => {
  const limited = limitAnswer({ max_output_tokens: 100 }, { model: 'x', messages, ...asked })
  expect(limited).toEqual({ model: 'x', messages, ...asked, ...sent })
  expect(mostTokens(limited).output).toBe(most)
})

test('a price by token is charged for the texts also where a fallback without a price answered', async () => {
  const payer = await givenPayer(service, 5_000)
  const [main, spare] = [await givenHttpHost(away), await givenHttpHost(answering(200, 'Hello mill'))]
  const pricing = { amount: 0, unit: 'token', input_amount: 1, output_amount: 2 }
  await service.serve({
    'paid/main': {
      retries: 0,
      fallbacks: ['paid/spare'],
      pricing,
      provider: { kind: 'http', url: main.url },
    },
    'paid/spare': { provider: { kind: 'http', url: spare.url } },
  })

  const { body } = await payer.call('POST /v1/predictions', {
    body: { model: 'paid/main', input: { prompt: 'a mill', max_tokens: 1_000 } },
  })

  expect((await untilEnded(payer.call, body.id)).metadata.served_by).toBe('paid/spare')
  const used = (await countText('a mill')) + 2 * (await countText('Hello mill'))
  expect(await settled(service, payer)).toEqual({ balance: 5_000 - used, charges: 1 })
})

describe('what no host counted is counted as in a call', () => {
  const uncounted = chunked(
    event(chunk({ role: 'assistant', content: 'Hello' })),
    event(chunk({ content: ' mill' })),
    event(chunk({}, 'stop')),
    'data: [DONE]\n\n',
  )
  const vectors = whole(200, { data: [{ index: 0, embedding: [0.123, 0.456, 0.789] }] })
  const ofChat = async () => 6 + (await countText('a mill')) + 2 * (await countText('Hello mill'))

  test.each<[string, string, object, string, typeof uncounted, () => Promise<number>]>([
    ['a run of chat', 'run', { inputs: { messages }, async: true }, 'chat', uncounted, ofChat],
    ['a response', 'responses', { input: 'a mill', background: true }, 'chat', uncounted, ofChat],
    [
      'vectors',
      'run',
      { inputs: { input: ['a mill'] }, async: true },
      'embeddings',
      vectors,
      () => countText('a mill'),
    ],
  ])('%s', async (_what, path, asked, api, answer, cost) => {
    const payer = await givenPayer(service, 5_000)
    const { model } = await givenPriced(service, answer, { apis: [api] })

    const { body } = await payer.call(`POST /v1/${path}`, { body: { model, ...asked } })
    await untilEnded(payer.call, body.job_id ?? body.id.replace('resp_', 'pred_'))

    expect(await settled(service, payer)).toEqual({ balance: 5_000 - (await cost()), charges: 1 })
  })
})
