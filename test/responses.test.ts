import OpenAI from 'openai'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { givenAccount } from './given-accounts.ts'
import { type Service, startService } from './harness/service.ts'

let service: Service
let openai: OpenAI
beforeAll(async () => {
  service = await startService({ queue: 'redis', workers: 0, dispatchers: 0 })
  openai = clientOf(service.apiKey)
})
afterAll(() => service.stop())

function clientOf(apiKey: string): OpenAI {
  return new OpenAI({ apiKey, baseURL: `${service.url}/v1`, maxRetries: 0 })
}

const weather = {
  type: 'function' as const,
  name: 'get_weather',
  parameters: { type: 'object', required: ['city'] },
  strict: false,
}

test('a turn is answered', async () => {
  const response = await openai.responses.create({
    model: 'parrot',
    input: 'a mill by a river',
    metadata: { of: 'mine' },
  })

  expect(response).toMatchObject({
    object: 'response',
    status: 'completed',
    model: 'parrot',
    output: [{ type: 'message', content: [{ type: 'output_text', text: 'a mill by a river' }] }],
    output_text: 'a mill by a river',
    usage: { input_tokens: 5, output_tokens: 5, total_tokens: 10 },
    metadata: { of: 'mine' },
    store: true,
    error: null,
  })
  expect(response.id).toMatch(/^resp_/)
})

test('the strict helper of the official client takes the stream, which is stored by its end', async () => {
  const stream = openai.responses.stream({ model: 'parrot', input: 'one two three' })
  const deltas: string[] = []
  stream.on('response.output_text.delta', ({ delta }) => deltas.push(delta))
  const response = await stream.finalResponse()

  expect(deltas).toEqual(['one', ' two', ' three'])
  expect(response).toMatchObject({ status: 'completed', output_text: 'one two three' })
  expect(await openai.responses.retrieve(response.id)).toMatchObject({ output_text: 'one two three' })
})

test('what a model thinks is an item of its own', async () => {
  const asked = { model: 'parrot', input: 'two /think' }
  const whole = await openai.responses.create(asked)
  const streamed = await openai.responses.stream(asked).finalResponse()

  expect(whole.output).toMatchObject([
    { type: 'reasoning', content: [{ type: 'reasoning_text', text: 'A parrot repeats.' }] },
    { type: 'message', content: [{ text: 'two' }] },
  ])
  expect(streamed.output.map(({ type }) => type).sort()).toEqual(['message', 'reasoning'])
})

test('a tool is called, and what it gave goes on with the stored turn', async () => {
  const asked = await openai.responses
    .stream({ model: 'parrot', input: 'get_weather {"city":"Delft"}', tools: [weather] })
    .finalResponse()
  const call = asked.output.find((item) => item.type === 'function_call')
  expect(call).toMatchObject({ name: 'get_weather', arguments: '{"city":"Delft"}' })

  const told = await openai.responses.create({
    model: 'parrot',
    previous_response_id: asked.id,
    tools: [weather],
    input: [{ type: 'function_call_output', call_id: call?.call_id ?? '', output: 'rain' }],
  })
  expect(told.output_text).toBe('The tool said: rain')
})

test('images go along, and so do items by their ids', async () => {
  const first = await openai.responses.create({
    model: 'parrot',
    input: [
      {
        role: 'user',
        content: [
          { type: 'input_text', text: 'Look.' },
          { type: 'input_image', image_url: 'data:image/png;base64,iVBORw0KGgo=', detail: 'auto' },
        ],
      },
    ],
  })
  expect(first.output_text).toBe('Look. I see 1 image.')

  const { data } = await openai.responses.inputItems.list(first.id)
  const ids = [data[0]?.id ?? '', first.output[0]?.id ?? '']
  const again = await openai.responses.create({
    model: 'parrot',
    input: [...ids.map((id) => ({ type: 'item_reference' as const, id })), { role: 'user', content: 'And?' }],
  })
  expect(again.output_text).toBe('And? I see 1 image.')
  expect(again.usage?.input_tokens).toBe(7)
})

test('a conversation goes on over stored turns, each with instructions of its own', async () => {
  const first = await openai.responses.create({ model: 'parrot', input: 'one', instructions: 'be brief' })
  const second = await openai.responses.create({
    model: 'parrot',
    input: 'two',
    previous_response_id: first.id,
  })
  const third = await openai.responses
    .stream({ model: 'parrot', input: 'three', previous_response_id: second.id })
    .finalResponse()

  // one one, two two, three
  expect(third).toMatchObject({ output_text: 'three', previous_response_id: second.id })
  expect([first, second, third].map(({ usage }) => usage?.input_tokens)).toEqual([3, 3, 5])
})

test('a response is got, told again from any event on, listed and deleted', async () => {
  const { id, output } = await openai.responses.create({ model: 'parrot', input: 'one two /think' })
  const got = await openai.responses.retrieve(id)
  expect(got.output).toEqual(output)

  const all = await eventsOf(openai.responses.retrieve(id, { stream: true }))
  const rest = await eventsOf(openai.responses.retrieve(id, { stream: true, starting_after: 4 }))
  expect(all.map(({ sequence_number }) => sequence_number)).toEqual(all.map((_, index) => index))
  expect(all[0]?.type).toBe('response.created')
  expect(all.at(-1)).toMatchObject({ type: 'response.completed', response: { id, output } })
  expect(rest).toEqual(all.slice(5))

  const { data } = await openai.responses.inputItems.list(id)
  expect(data).toMatchObject([
    { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'one two /think' }] },
  ])

  await openai.responses.delete(id)
  await expect(openai.responses.retrieve(id)).rejects.toMatchObject({ status: 404 })
  await expect(
    openai.responses.create({ model: 'parrot', input: 'x', previous_response_id: id }),
  ).rejects.toMatchObject({ status: 400, param: 'previous_response_id' })
})

test('to another account a response is as one that never was', async () => {
  const { id } = await openai.responses.create({ model: 'parrot', input: 'mine' })
  const other = clientOf((await givenAccount(service)).apiKey)

  await expect(other.responses.retrieve(id)).rejects.toMatchObject({ status: 404 })
  await expect(other.responses.delete(id)).rejects.toMatchObject({ status: 404 })
  await expect(
    other.responses.create({ model: 'parrot', input: 'x', previous_response_id: id }),
  ).rejects.toMatchObject({ status: 400, param: 'previous_response_id' })
  expect((await openai.responses.retrieve(id)).output_text).toBe('mine')
})

test('what is not to be stored is not', async () => {
  const { id, store } = (await openai.responses.create({
    model: 'parrot',
    input: 'x',
    store: false,
  })) as OpenAI.Responses.Response & { store: boolean }
  expect(store).toBe(false)
  await expect(openai.responses.retrieve(id)).rejects.toMatchObject({ status: 404 })
})

test('a stored answer is kept for 30 days, and then it is gone', async () => {
  const { id } = await openai.responses.create({ model: 'parrot', input: 'x' })
  const { rows } = await service.db.pool.query(
    `select extract(epoch from max(expires_at) - clock_timestamp()) / 86400 as days from stored_answers`,
  )
  expect(Number(rows[0].days)).toBeCloseTo(30, 1)
  await service.db.pool.query('update stored_answers set expires_at = clock_timestamp()')
  await expect(openai.responses.retrieve(id)).rejects.toMatchObject({ status: 404 })
})

test('what fails in the middle of a stream ends it with response.failed', async () => {
  const response = await openai.responses.stream({ model: 'parrot', input: 'a b c /fail 2' }).finalResponse()
  expect(response).toMatchObject({ status: 'failed', error: { code: 'service_error' } })
})

test('an answer that is too long is incomplete', async () => {
  const response = await openai.responses.create({
    model: 'parrot',
    input: 'a b c d',
    max_output_tokens: 2,
  })
  expect(response).toMatchObject({
    status: 'incomplete',
    incomplete_details: { reason: 'max_output_tokens' },
    output_text: 'a b',
  })
})

test.each<[string, object, object]>([
  ['a model that is not there', { model: 'gpt-9' }, { status: 404, code: 'model_not_found' }],
  ['a model of another surface', { model: 'doodle' }, { status: 422, code: 'model_not_supported' }],
  ['a tool that nobody runs here', { tools: [{ type: 'web_search' }] }, { status: 400, param: 'tools' }],
  ['no input', { input: [] }, { status: 400, param: 'input' }],
  ['an item that is not stored', { input: [{ type: 'item_reference', id: 'msg_1' }] }, { status: 400 }],
  [
    'a background response that is not stored',
    { background: true, store: false },
    { status: 400, param: 'store' },
  ],
])('%s is refused in words', async (_what, how, error) => {
  const asked = { model: 'parrot', input: 'x', ...how } as OpenAI.Responses.ResponseCreateParamsNonStreaming
  await expect(openai.responses.create(asked)).rejects.toMatchObject(error)
})

test('only what is made in the background can be cancelled', async () => {
  const { id } = await openai.responses.create({ model: 'parrot', input: 'x' })
  await expect(openai.responses.cancel(id)).rejects.toMatchObject({ status: 400, code: 'invalid_request' })
})

test.each([false, true])('a chat completion is kept where that is asked for (stream: %s)', async (stream) => {
  const asked = { model: 'parrot', messages: [{ role: 'user' as const, content: 'one two' }], store: true }
  const id = stream
    ? (await eventsOf(openai.chat.completions.create({ ...asked, stream })))[0]?.id
    : (await openai.chat.completions.create(asked)).id

  const got = await openai.chat.completions.retrieve(id ?? '')
  expect(got).toMatchObject({ id, object: 'chat.completion', model: 'parrot' })
  expect(got.choices[0]).toMatchObject({ message: { content: 'one two' }, finish_reason: 'stop' })
  await openai.chat.completions.delete(id ?? '')
  await expect(openai.chat.completions.retrieve(id ?? '')).rejects.toMatchObject({ status: 404 })
})

async function eventsOf<T>(stream: PromiseLike<AsyncIterable<T>>): Promise<T[]> {
  const events: T[] = []
  for await (const event of await stream) events.push(event)
  return events
}
