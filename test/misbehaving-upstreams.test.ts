import { brotliCompressSync, gzipSync } from 'node:zlib'
import type { ChatChunk, ChatRequest } from '@millrace/inference/chat'
import { InferenceFault } from '@millrace/inference/fault'
import { openHost } from '@millrace/inference/openai-host'
import { createUpstreamAgent } from '@millrace/inference/upstream-agent'
import { expect, onTestFinished, test } from 'vitest'
import { until } from './harness/wait.ts'
import {
  type ChatHost,
  type ChatScript,
  chunk,
  chunked,
  close,
  completion,
  event,
  givenChatHost,
  head,
  hello,
  reset,
  say,
  stream,
  whole,
} from './hosts/chat.ts'

const key = 'sk-very-secret-key'
const text = hello.join('')
const bytes = Buffer.from(text)
const done = 'data: [DONE]\n\n'
const said = (content: string) => event(chunk({ content }))
const opening = [head(200, { 'content-type': 'text/event-stream' }), said('Hello')] as const
const ends = (reason: unknown = 'stop') => event(chunk({}, reason)) + done
const usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 }
const call = (part: object) => event(chunk({ tool_calls: [part] }))

const good = { text: 'Hello mill', finish: 'stop', usage }
const away = { fault: 'INFERENCE_ERROR', elsewhere: true, down: true }
const cut = { ...away, after: 'Hello' }
const misplaced = { fault: 'INFERENCE_ERROR', elsewhere: true }
const busy = { fault: 'SERVICE_UNAVAILABLE', elsewhere: true, busy: true }

/** What a host says to a request for a stream, and what comes of it. */
const streams: Record<string, { says: ChatScript; gives: Outcome }> = {
  'speaks well': { says: stream(text), gives: good },
  'speaks in chunks and keeps the connection': { says: chunked(...hello), gives: good },
  'ends lines with CRLF': { says: stream(text.replaceAll('\n', '\r\n')), gives: good },
  'ends lines with CR': { says: stream(text.replaceAll('\n', '\r')), gives: good },
  'leaves out the space after data:': { says: stream(text.replaceAll('data: ', 'data:')), gives: good },
  'sends one byte at a time': {
    says: stream(...each(bytes.subarray(0, 700)), bytes.subarray(700)),
    gives: good,
  },
  'splits characters': {
    says: stream(...each(Buffer.from(said('Müh🎡le'))), ends()),
    gives: { text: 'Müh🎡le', finish: 'stop' },
  },
  'begins with a byte order mark': { says: stream(`\uFEFF${text}`), gives: good },
  'spreads an event over lines': {
    says: stream(
      event(JSON.stringify(chunk({ content: 'Hello' }), null, 1).replaceAll('\n', '\ndata: ')),
      ends(),
    ),
    gives: { text: 'Hello', finish: 'stop' },
  },
  'forgets the blank lines between events': {
    says: stream(text.replaceAll('\n\n', '\n')),
    gives: good,
  },
  'does not end its last line': { says: stream(text.replace(`\n\n${done}`, '')), gives: good },
  'names its events and comments on them': {
    says: stream(text.replaceAll('data:', ': ping\nid: 4\nretry: 10\nevent: chunk\ndata:')),
    gives: good,
  },
  'says garbage between events': {
    says: stream(
      'garbage\n',
      said('Hello'),
      'data: {"choices": [{\n\n',
      'data: 17\n\n',
      'data: {"a": 1}\n\n',
      said(' mill'),
      ends(),
    ),
    gives: { text: 'Hello mill', finish: 'stop', skipped: 2 },
  },
  'does not say [DONE]': { says: stream(text.replace(done, '')), gives: good },
  'says [DONE] instead of a reason': {
    says: stream(said('Hello'), done),
    gives: { text: 'Hello', finish: 'stop' },
  },
  'goes on after [DONE]': { says: chunked(text, said('more'), 'more'), gives: good },
  'neither says [DONE] nor closes': { says: stream(text.replace(done, '')).slice(0, -1), gives: good },
  'is cut after the reason': {
    says: [...stream(text.replace(done, '')).slice(0, -1), reset],
    gives: { ...good },
  },
  'gives two reasons': {
    says: stream(said('Hello'), event(chunk({}, 'stop')), event(chunk({ content: '' }, 'length')), done),
    gives: { text: 'Hello', finish: 'stop' },
  },
  'gives an empty reason with each chunk': {
    says: stream(event(chunk({ content: 'Hello' }, '')), event(chunk({ content: ' mill' }, 'stop')), done),
    gives: { text: 'Hello mill', finish: 'stop' },
  },
  'counts in its last chunk': {
    says: stream(said('Hello'), event(chunk({}, 'stop', { usage })), done),
    gives: { text: 'Hello', finish: 'stop', usage },
  },
  'counts in every chunk': {
    says: stream(
      event(
        chunk({ content: 'Hello' }, null, { usage: { ...usage, completion_tokens: 1, total_tokens: 4 } }),
      ),
      event(chunk({}, 'stop', { usage })),
      done,
    ),
    gives: { text: 'Hello', finish: 'stop', usage },
  },
  'counts in texts and without a total': {
    says: stream(
      said('Hello'),
      event(chunk({}, 'stop', { usage: { prompt_tokens: '3', completion_tokens: '2' } })),
      done,
    ),
    gives: { text: 'Hello', finish: 'stop', usage },
  },
  'counts what is no number': {
    says: stream(said('Hello'), event(chunk({}, 'stop', { usage: { prompt_tokens: 'many' } })), done),
    gives: { text: 'Hello', finish: 'stop' },
  },
  'says null for choices, deltas and usage': {
    says: stream(
      event({ ...chunk({}), choices: null, usage: null }),
      event(chunk(null)),
      event({ id: 'x', object: 'chat.completion.chunk' }),
      said('Hello'),
      ends(),
    ),
    gives: { text: 'Hello', finish: 'stop' },
  },
  'says values of wrong types': {
    says: stream(
      event({
        id: 7,
        created: 'now',
        choices: [{ index: '0', delta: { role: 3, content: 42 }, finish_reason: false }],
      }),
      event(chunk({ content: [{ type: 'text', text: ' mills' }] })),
      event({ choices: [{ delta: { content: { a: 1 }, tool_calls: 'none', refusal: 3 } }, 'what'] }),
      ends(),
    ),
    gives: { text: '42 mills', finish: 'stop' },
  },
  'streams as completions of old do': {
    says: stream(
      event({ choices: [{ text: 'Hello', index: 0 }] }),
      event({ choices: [{ text: ' mill', finish_reason: 'length' }] }),
    ),
    gives: { text: 'Hello mill', finish: 'length' },
  },
  'streams whole messages': {
    says: stream(event({ choices: [{ message: { role: 'assistant', content: 'Hello' } }] }), ends()),
    gives: { text: 'Hello', finish: 'stop' },
  },
  refuses: {
    says: stream(event(chunk({ refusal: 'I will not' })), ends()),
    gives: { text: '', refusal: 'I will not', finish: 'stop' },
  },
  'thinks aloud under another name': {
    says: stream(event(chunk({ reasoning: 'hm' })), said('Hello'), ends()),
    gives: { text: 'Hello', reasoning: 'hm', finish: 'stop' },
  },
  'numbers no tool calls': {
    says: stream(
      call({ id: 'a', function: { name: 'grind', arguments: '' } }),
      call({ function: { arguments: '{"of":' } }),
      call({ function: { arguments: '"rye"}' } }),
      call({ id: 'b', function: { name: 'sift', arguments: '{}' } }),
      ends('tool_calls'),
    ),
    gives: {
      text: '',
      calls: [
        ['a', 'grind', '{"of":"rye"}'],
        ['b', 'sift', '{}'],
      ],
      finish: 'tool_calls',
    },
  },
  'gives tool calls no id': {
    says: stream(
      call({ index: 0, function: { name: 'grind', arguments: { of: 'rye' } } }),
      call({ index: 1, function: { name: 'sift', arguments: null } }),
      ends('tool_calls'),
    ),
    gives: {
      text: '',
      calls: [
        [expect.stringMatching(/^call_/), 'grind', '{"of":"rye"}'],
        [expect.stringMatching(/^call_/), 'sift', ''],
      ],
      finish: 'tool_calls',
    },
  },
  'repeats the name of a tool call': {
    says: stream(
      call({ index: 0, id: 'a', type: 'function', function: { name: 'grind', arguments: '{' } }),
      call({ index: 0, id: 'a', type: 'function', function: { name: 'grind', arguments: '}' } }),
      ends('tool_calls'),
    ),
    gives: { text: '', calls: [['a', 'grind', '{}']], finish: 'tool_calls' },
  },
  'says NUL and halves of characters': {
    says: stream(
      'data: \u0000\n\n',
      event(chunk({ content: 'a\u0000b\ud83c' })),
      event(chunk({ content: '\udfa1' })),
      ends(),
    ),
    gives: { text: 'a\u0000b🎡', finish: 'stop', skipped: 1 },
  },
  'sends what is no UTF-8': {
    says: stream(
      Buffer.concat([
        Buffer.from('data: {"choices":[{"delta":{"content":"a'),
        Buffer.from([0xff]),
        Buffer.from('b"}}]}\n\n'),
      ]),
      ends(),
    ),
    gives: { text: 'a\uFFFDb', finish: 'stop' },
  },
  'compresses with gzip': { says: compressed('gzip', gzipSync(text)), gives: good },
  'compresses with brotli': { says: compressed('br', brotliCompressSync(text)), gives: good },
  'says it compressed and did not': { says: compressed('gzip', Buffer.from(text)), gives: away },
  'compresses in a way of its own': { says: compressed('mill', Buffer.from(text)), gives: misplaced },
  'does not stream': { says: whole(200, completion('Hello mill')), gives: good },
  'does not stream, calls a stream what is none': {
    says: whole(200, JSON.stringify(completion('Hello mill')), { 'content-type': 'text/event-stream' }),
    gives: good,
  },
  'calls its stream JSON': {
    says: [head(200, { 'content-type': 'application/json' }), text, close],
    gives: good,
  },
  'does not stream its tool calls': {
    says: whole(
      200,
      completion(null, {
        choices: [{ message: { tool_calls: [{ function: { name: 'grind', arguments: {} } }] } }],
      }),
    ),
    gives: {
      text: '',
      calls: [[expect.stringMatching(/^call_/), 'grind', '{}']],
      finish: 'tool_calls',
      usage,
    },
  },
  'sends a hint before its answer': {
    says: ['HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n', ...stream(text)],
    gives: good,
  },
  'answers with a page': {
    says: whole(200, '<html><title>Welcome</title>', { 'content-type': 'text/html' }),
    gives: away,
  },
  'answers with nothing': { says: whole(200, ''), gives: away },
  'answers with blanks': { says: stream('\n\n\n \n'), gives: away },
  'answers with an empty stream': { says: stream(), gives: away },
  'answers with comments alone': { says: stream(': ping\n\n: ping\n\n'), gives: away },
  'answers with [DONE] alone': { says: stream(done), gives: away },
  'answers with garbage alone': { says: stream('what\n\ndata: {{{\n\n'), gives: away },
  'answers with JSON of another kind': { says: whole(200, { ok: true }), gives: away },
  'answers with half a JSON': { says: whole(200, '{"choices": [{"mess'), gives: away },
  'answers without an answer': { says: whole(200, { ...completion(''), choices: [] }), gives: away },
  'answers 204': { says: [head(204, {})], gives: away },
  'answers what is no HTTP': { says: ['what do you want\r\n\r\n', close], gives: away },
  'closes without an answer': { says: [close], gives: away },
  'resets the connection': { says: [reset], gives: away },
  'has endless headers': { says: [`HTTP/1.1 200 OK\r\nx: ${'y'.repeat(100_000)}\r\n\r\n`], gives: away },
  'is cut before the first chunk': { says: stream(': wait\n\n'), gives: away },
  'is cut after a word': { says: stream(said('Hello')), gives: cut },
  'is reset after a word': { says: [...stream(said('Hello')).slice(0, -1), reset], gives: cut },
  'is cut within an event': { says: stream(said('Hello'), said(' mill').slice(0, 40)), gives: cut },
  'states a longer length': {
    says: [
      head(200, { 'content-type': 'text/event-stream', 'content-length': '9000' }),
      said('Hello'),
      close,
    ],
    gives: cut,
  },
  'states a longer length of what is whole': {
    says: [head(200, { 'content-type': 'text/event-stream', 'content-length': '9000' }), text, close],
    gives: good,
  },
  'states a shorter length': {
    says: [
      head(200, { 'content-type': 'text/event-stream', 'content-length': String(said('Hello').length) }),
      text,
      close,
    ],
    gives: away,
  },
  'sends an event without end': {
    says: async ({ socket }) => {
      await say(socket, [...opening, 'data: {"a": "'].join(''))
      for (;;) await say(socket, 'x'.repeat(1 << 20))
    },
    gives: { fault: 'INFERENCE_ERROR', after: 'Hello' },
  },
  'fails within its stream': {
    says: stream(
      said('Hello'),
      event({ error: { message: `no memory at ${key}`, type: 'server_error', code: 500 } }),
    ),
    gives: { ...cut, after: 'Hello' },
  },
  'fails in an event of that name': {
    says: stream('event: error\n', event({ message: 'Overloaded', type: 'overloaded_error' })),
    gives: busy,
  },
  'fails with 200': { says: whole(200, { error: 'it broke' }), gives: misplaced },
  'names the status in its error': {
    says: stream(event({ error: { message: 'slow down', code: 429 } })),
    gives: busy,
  },
  'refuses a parameter within its stream': {
    says: stream(
      event({ error: { message: 'top_p is too large', type: 'invalid_request_error', param: 'top_p' } }),
    ),
    gives: { fault: 'INVALID_PARAMETER', param: 'top_p', message: 'top_p is too large' },
  },
  'leads elsewhere': { says: whole(307, '', { location: 'http://127.0.0.1:1/steal' }), gives: misplaced },
  'finds a parameter wrong': {
    says: whole(400, {
      error: { message: 'temperature must be at most 2', param: 'temperature', type: 'x', code: null },
    }),
    gives: { fault: 'INVALID_PARAMETER', param: 'temperature', message: 'temperature must be at most 2' },
  },
  'finds a request wrong, in its own words': {
    says: whole(422, { detail: [{ loc: ['body', 'tools', 0], msg: 'Field required' }] }),
    gives: { fault: 'INVALID_PARAMETER', param: 'tools.0', message: 'Field required' },
  },
  'finds a request too large': {
    says: whole(413, 'Too much'),
    gives: { fault: 'INVALID_REQUEST', message: 'Too much' },
  },
  'tells what nobody may know': {
    says: ({ head: asked }) =>
      whole(400, {
        error: {
          message: `${key} at ${/host: (.*)/i.exec(asked)?.[1]?.trim()}: inner-model at http://10.0.0.7:8000 is full`,
        },
      }),
    gives: { fault: 'INVALID_REQUEST', message: '*** at the host: asked-model at the host is full' },
  },
  'does not know the key': {
    says: whole(401, { error: { message: `Incorrect API key: ${key}` } }),
    gives: misplaced,
  },
  'wants to be paid': { says: whole(402, { error: { message: 'Pay' } }), gives: misplaced },
  'has no credit left': {
    says: whole(429, { error: { message: 'Pay', code: 'insufficient_quota' } }),
    gives: misplaced,
  },
  'forbids the model': { says: whole(403, 'no'), gives: misplaced },
  'does not know the model': { says: whole(404, { error: { message: 'no inner-model' } }), gives: misplaced },
  'calls the model a wrong parameter': {
    says: whole(400, { error: { message: 'no inner-model', param: 'model' } }),
    gives: misplaced,
  },
  'does not like the content': {
    says: whole(400, { error: { message: 'Against the rules', code: 'content_filter' } }),
    gives: { fault: 'CONTENT_POLICY_VIOLATION', message: 'Against the rules' },
  },
  'has no room': {
    says: whole(429, { error: { message: 'later' } }, { 'retry-after': '7' }),
    gives: { ...busy, retryAfterSeconds: 7 },
  },
  'has no room for some milliseconds': {
    says: whole(529, '', { 'retry-after-ms': '1500' }),
    gives: { ...busy, retryAfterSeconds: 1.5 },
  },
  breaks: { says: whole(500, `<html><title>Oh no</title>`), gives: away },
  'is loading': { says: whole(503, '', { 'retry-after': '20' }), gives: { ...away, retryAfterSeconds: 20 } },
  'waited too long itself': { says: whole(504, ''), gives: { ...away, fault: 'INFERENCE_TIMEOUT' } },
}

test.each(Object.entries(streams))('a host that %s', async (_what, { says, gives }) => {
  const host = await givenChatHost(says)
  const outcome = await outcomeOf(host)
  expect(outcome).toEqual(expectationOf(gives))
})

/** What a host says to a request for a whole answer. */
const wholes: Record<string, { says: ChatScript; gives: object }> = {
  'speaks well': {
    says: whole(200, completion('Hello')),
    gives: completion('Hello', { model: 'asked-model' }),
  },
  'streams unasked': {
    says: stream(text),
    gives: completion('Hello mill', { model: 'asked-model' }),
  },
  'forgets the half': {
    says: whole(200, { choices: [{ text: 'Hello' }] }),
    gives: {
      id: 'chatcmpl-req_1',
      object: 'chat.completion',
      created: expect.any(Number),
      model: 'asked-model',
      choices: [{ index: 0, message: { role: 'assistant', content: 'Hello' }, finish_reason: 'stop' }],
    },
  },
  'compresses with gzip': {
    says: whole(200, gzipSync(JSON.stringify(completion('Hello'))), { 'content-encoding': 'gzip' }),
    gives: completion('Hello', { model: 'asked-model' }),
  },
}

test.each(Object.entries(wholes))(
  'asked for a whole answer, a host that %s',
  async (_what, { says, gives }) => {
    const host = await givenChatHost(says)
    const { backend, call: asked } = given(host)
    const reply = await backend.chat({ ...request, stream: false }, asked)
    expect(reply.kind === 'whole' && JSON.parse(JSON.stringify(reply.completion))).toEqual(gives)
    expect(host.asked[0]?.body).toEqual({ ...request, model: 'inner-model', stream: undefined })
  },
)

test.each<[string, ChatScript, Outcome]>([
  ['a page', whole(200, '<html>'), away],
  ['half of it', [head(200, { 'content-length': '500' }), '{"choices"', close], away],
  ['an error with 200', whole(200, { error: { message: 'x', code: 'rate_limit_exceeded' } }), busy],
  ['choices of null', whole(200, { ...completion(''), choices: null }), away],
])('asked for a whole answer, a host answers with %s', async (_what, says, gives) => {
  const { backend, call: asked } = given(await givenChatHost(says))
  await expect(backend.chat({ ...request, stream: false }, asked)).rejects.toMatchObject(faultLike(gives))
})

test('a stream that is split at any byte comes to the same chunks', async () => {
  const told = [
    event(chunk({ role: 'assistant', content: 'Mü🎡' })).replaceAll('\n', '\r\n'),
    ': ping\r\n\r\n',
    call({ index: 0, id: 'a', function: { name: 'grind', arguments: '{"of":"rye"}' } }),
    event(JSON.stringify(chunk({ content: 'x' }), null, 1).replaceAll('\n', '\ndata:')),
    event(chunk({}, 'stop', { usage })),
    'data: [DONE]',
  ].join('')
  const wire = Buffer.from(`\uFEFF${told}`)
  let cutAt = 0
  const host = await givenChatHost(() =>
    chunked(...[wire.subarray(0, cutAt), wire.subarray(cutAt)].filter((part) => part.length > 0)),
  )
  const { backend, call: asked } = given(host)
  const chunksNow = async () => {
    const reply = await backend.chat(request, asked)
    if (reply.kind !== 'stream') throw new Error('it did not stream')
    return JSON.stringify(await all(reply.chunks))
  }
  const expected = await chunksNow()
  expect(JSON.parse(expected)).toHaveLength(5)
  for (cutAt = 1; cutAt < wire.length; cutAt += 1) expect(await chunksNow(), `at ${cutAt}`).toBe(expected)
})

test('the host gets its own name for the model, its key and the wish for usage, and connections are kept', async () => {
  const host = await givenChatHost(chunked(text, 'data: more\n\n'))
  const { backend, call: asked } = given(host)
  for (let n = 0; n < 10; n += 1) {
    const reply = await backend.chat({ ...request, top_k: 4 }, asked)
    const chunks = reply.kind === 'stream' ? await all(reply.chunks) : []
    expect(new Set(chunks.map(({ model, id }) => `${model} ${id}`))).toEqual(
      new Set(['asked-model chatcmpl-7']),
    )
  }
  expect(host.asked[0]?.body).toEqual({
    ...request,
    model: 'inner-model',
    top_k: 4,
    stream: true,
    stream_options: { include_usage: true },
  })
  expect(host.asked[0]?.path).toBe('/v1/chat/completions?api-version=2')
  expect(host.asked[0]?.head).toMatch(/authorization: Bearer sk-very-secret-key/i)
  expect(host.asked[0]?.head).toMatch(/x-request-id: req_1/i)
  expect(host.connections()).toBeLessThan(4)
})

test('a host that does not take the wish for usage is asked without it from then on', async () => {
  const host = await givenChatHost(({ body }) =>
    body.stream_options
      ? whole(400, { error: { message: 'Unknown field', param: 'stream_options' } })
      : chunked(text),
  )
  const shared = given(host)
  for (const _ of [1, 2]) expect(await outcomeOf(host, shared)).toMatchObject({ text: 'Hello mill' })
  expect(host.asked.map(({ body }) => Boolean(body.stream_options))).toEqual([true, false, false])
})

test('a reader that stops early closes the connection', async () => {
  const host = await givenChatHost(opening)
  const { backend, call: asked } = given(host)
  const reply = await backend.chat(request, asked)
  if (reply.kind !== 'stream') throw new Error('it did not stream')
  expect(host.open()).toBe(1)
  await reply.chunks.return()
  await until(() => host.open() === 0, { what: 'the connection to close' })
})

const vectors = [
  [0.25, -1],
  [0.5, 2],
]
const base64 = (floats: number[]) => Buffer.from(new Float32Array(floats).buffer).toString('base64')

test.each([
  ['numbers', vectors.map((embedding, index) => ({ index, embedding }))],
  ['base64', vectors.map((embedding, index) => ({ index, embedding: base64(embedding) }))],
  ['another order', vectors.map((embedding, index) => ({ index, embedding })).reverse()],
  ['no order', vectors.map((embedding) => ({ embedding }))],
  ['lists in lists', vectors.map((embedding, index) => ({ index, embedding: [embedding] }))],
])('embeddings come in the order of the input from %s', async (_what, data) => {
  const host = await givenChatHost(whole(200, { data, usage: { prompt_tokens: '4' } }))
  const { backend, call: asked } = given(host)
  const embedded = await backend.embed(
    { model: 'asked-model', input: ['a', 'b'], encoding_format: 'base64', dimensions: 2 },
    asked,
  )
  expect(embedded).toEqual({ vectors, usage: { prompt_tokens: 4, total_tokens: 4 } })
  expect(host.asked[0]).toMatchObject({
    path: '/v1/embeddings?api-version=2',
    body: { model: 'inner-model', input: ['a', 'b'], encoding_format: 'float', dimensions: 2 },
  })
})

test.each([
  ['too few vectors', { data: [{ index: 0, embedding: [1] }] }],
  ['two of one index', { data: [0, 0].map((index) => ({ index, embedding: [1] })) }],
  ['an index that is not there', { data: [0, 5].map((index) => ({ index, embedding: [1] })) }],
  ['vectors of texts', { data: [0, 1].map((index) => ({ index, embedding: ['1'] })) }],
  ['empty vectors', { data: [0, 1].map((index) => ({ index, embedding: [] })) }],
  ['base64 of odd length', { data: [0, 1].map((index) => ({ index, embedding: 'QUI=' })) }],
  ['no data', { object: 'list' }],
])('embeddings that come with %s are none', async (_what, body) => {
  const { backend, call: asked } = given(await givenChatHost(whole(200, body)))
  const embedded = backend.embed({ model: 'asked-model', input: ['a', 'b'] }, asked)
  await expect(embedded).rejects.toMatchObject(faultLike(away))
})

async function all(told: AsyncIterable<ChatChunk>): Promise<ChatChunk[]> {
  const chunks: ChatChunk[] = []
  for await (const one of told) chunks.push(one)
  return chunks
}

const request: ChatRequest = {
  model: 'asked-model',
  messages: [{ role: 'user', content: 'Hi' }],
  stream: true,
}

function given(host: ChatHost) {
  const agent = createUpstreamAgent()
  onTestFinished(() => agent.destroy())
  const settings = { name: 'here', baseUrl: `${host.url}/?api-version=2`, apiKey: key, model: 'inner-model' }
  const told = { skipped: 0 }
  const call = {
    signal: new AbortController().signal,
    requestId: 'req_1',
    onSkipped: (lines: number) => {
      told.skipped += lines
    },
  }
  return { backend: openHost(settings, { agent }), call, told }
}

/** What a client sees of a stream, gathered as its library does. */
async function outcomeOf(host: ChatHost, { backend, call: asked, told } = given(host)): Promise<Outcome> {
  const chunks: ChatChunk[] = []
  try {
    const reply = await backend.chat(request, asked)
    if (reply.kind !== 'stream') throw new Error('it did not stream')
    for await (const one of reply.chunks) chunks.push(one)
    return { ...gathered(chunks), ...(told.skipped ? { skipped: told.skipped } : {}) }
  } catch (error) {
    if (!(error instanceof InferenceFault)) throw error
    const { cause: _, ...about } = error.about
    const after = gathered(chunks).text
    expect(`${error.message} ${String(error.about.cause)}`).not.toContain(key)
    return { fault: error.errorId, message: error.message, ...about, ...(after ? { after } : {}) }
  }
}

function gathered(chunks: ChatChunk[]): Outcome {
  const outcome: Outcome = { text: '' }
  for (const { choices, usage: counted, object, model } of chunks) {
    expect({ object, model }).toEqual({ object: 'chat.completion.chunk', model: 'asked-model' })
    expect(choices.length > 0 || counted).toBeTruthy()
    if (counted) outcome.usage = { ...counted }
    for (const { delta, finish_reason } of choices) {
      outcome.text += delta.content ?? ''
      if (delta.refusal) outcome.refusal = (outcome.refusal ?? '') + delta.refusal
      if (delta.reasoning_content) outcome.reasoning = (outcome.reasoning ?? '') + delta.reasoning_content
      if (finish_reason) expect(outcome.finish, 'there is one reason').toBeUndefined()
      if (finish_reason) outcome.finish = finish_reason
      for (const { index, id, function: part } of delta.tool_calls ?? []) {
        outcome.calls ??= []
        const known = outcome.calls[index] ?? [id ?? '', '', '']
        outcome.calls[index] = known
        if (part?.name) known[1] = String(known[1]) + part.name
        if (part?.arguments) known[2] = String(known[2]) + part.arguments
      }
    }
  }
  return JSON.parse(JSON.stringify(outcome))
}

function expectationOf(gives: Outcome): unknown {
  return gives.fault ? { message: expect.any(String), ...gives } : gives
}

function faultLike({ fault, ...about }: Outcome): object {
  return { errorId: fault, about }
}

function each(all: Uint8Array): Buffer[] {
  return Array.from(all, (byte) => Buffer.from([byte]))
}

function compressed(encoding: string, body: Uint8Array): ChatScript {
  const headers = { 'content-type': 'text/event-stream', 'content-encoding': encoding, connection: 'close' }
  return [head(200, headers), body.subarray(0, 60), body.subarray(60), close]
}

interface Outcome {
  text?: string | undefined
  refusal?: string | undefined
  reasoning?: string | undefined
  finish?: string | undefined
  usage?: object | undefined
  calls?: unknown[][] | undefined
  skipped?: number | undefined
  fault?: string | undefined
  message?: string | undefined
  param?: string | undefined
  elsewhere?: boolean | undefined
  down?: boolean | undefined
  busy?: boolean | undefined
  retryAfterSeconds?: number | undefined
  /** What came before the fault. */
  after?: string | undefined
}
