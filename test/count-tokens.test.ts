import { countText, estimateAnswer, estimatePrompt } from '@millrace/inference/count-tokens'
import { mediaTokens } from '@millrace/inference/media-tokens'
import { countMessageTokens } from '@millrace/inference/messages/count-message-tokens'
import { encode } from 'gpt-tokenizer/encoding/o200k_base'
import { expect, test } from 'vitest'

test.each([
  ['nothing', '', 0],
  ['words', 'Hello, world', 3],
  ["the tokenizer's own marks, which are text here", '<|endoftext|>', 7],
])('the tokens of %s', async (_what, text, tokens) => {
  expect(await countText(text)).toBe(tokens)
})

test.each([
  ['prose', 'The quick brown fox jumps over the lazy dog, and then it sleeps. ', 100],
  ['several scripts', 'Ελληνικά, 日本語 and code: function foo(bar) { return 42 } ', 100],
  ['more than is counted', 'The quick brown fox jumps over the lazy dog, and then it sleeps. ', 2_000],
])('the tokens of %s are within 3 % of the truth', async (_what, sentence, times) => {
  const text = sentence.repeat(times)
  const exact = encode(text).length
  const error = Math.abs((await countText(text)) - exact) / exact
  expect(error).toBeLessThan(0.03)
})

test.each([
  ['one letter', 'a'],
  ['spaces', ' '],
  ['text without spaces', '日本語の文章'],
])('ten million characters of %s are counted at once', async (_what, piece) => {
  expect(await countText(piece.repeat(10_000_000 / piece.length))).toBeGreaterThan(10_000)
})

test('a prompt counts its messages, tools and pictures', async () => {
  const request = { model: 'llama', messages: [{ role: 'user' as const, content: 'Hello, world' }] }
  expect(await estimatePrompt(request)).toBe(3 + 6)
  const withPicture = [
    { type: 'text', text: 'Hello, world' },
    { type: 'image_url', image_url: { url: 'https://a.example/b.png', detail: 'low' } },
  ]
  expect(await estimatePrompt({ ...request, messages: [{ role: 'user', content: withPicture }] })).toBe(
    3 + 6 + 85,
  )
  const tools = [{ type: 'function' as const, function: { name: 'weather' } }]
  expect(await estimatePrompt({ ...request, tools })).toBeGreaterThan(15)
})

test('a request for Messages is counted without max_tokens, with its system prompt', async () => {
  const request = {
    model: 'llama',
    system: 'Hello, world',
    messages: [{ role: 'user', content: 'Hello, world' }],
  }
  const { input_tokens: tokens } = await countMessageTokens(request)
  expect(tokens).toBeGreaterThanOrEqual(15)
  expect(tokens).toBeLessThan(18)
})

test('an answer counts what was said, thought and called', async () => {
  const call = {
    id: 'call_a',
    type: 'function' as const,
    function: { name: 'weather', arguments: '{"city":"Bonn"}' },
  }
  const [said, more] = await Promise.all([
    estimateAnswer({ role: 'assistant', content: 'Hello, world' }),
    estimateAnswer({
      role: 'assistant',
      content: 'Hello, world',
      reasoning_content: 'Hm.',
      tool_calls: [call],
    }),
  ])
  expect(said).toBe(3)
  expect(more).toBeGreaterThan(10)
})

test.each([
  ['a picture', { type: 'image_url', image_url: { url: 'data:' } }, 765],
  ['a picture at low detail', { type: 'image_url', image_url: { url: 'data:', detail: 'low' } }, 85],
  [
    'two seconds of WAV',
    { type: 'input_audio', input_audio: { format: 'wav', data: 'A'.repeat(128_000) } },
    20,
  ],
  [
    'six seconds of MP3',
    { type: 'input_audio', input_audio: { format: 'mp3', data: 'A'.repeat(128_000) } },
    60,
  ],
  ['a text', { type: 'file', file: { file_data: `data:text/plain;base64,${'A'.repeat(1_600)}` } }, 300],
  [
    'a PDF',
    { type: 'file', file: { file_data: `data:application/pdf;base64,${'A'.repeat(160_000)}` } },
    3_000,
  ],
  ['what nobody knows', { type: 'smell' }, 765],
])('%s counts by a rule', (_what, part, tokens) => {
  expect(mediaTokens(part)).toBe(tokens)
})
