import type { ChatMessage, ChatRequest, ContentPart } from './chat.ts'
import { mediaTokens } from './media-tokens.ts'

/**
 * An estimate of a prompt's tokens, for hosts that count none: all text as OpenAI's `o200k_base` cuts it, with three
 * tokens around each message and before the answer, and pictures, sound and files by `mediaTokens`.
 */
export async function estimatePrompt({ messages, tools, response_format }: ChatRequest): Promise<number> {
  const texts = messages.flatMap(textsOf)
  if (tools && tools.length > 0) texts.push(JSON.stringify(tools))
  if (response_format) texts.push(JSON.stringify(response_format))
  const media = messages.flatMap(({ content }) => (Array.isArray(content) ? content.filter(isMedia) : []))
  const around = 3 * (messages.length + 1)
  return (
    around + media.reduce((sum, part) => sum + mediaTokens(part), 0) + (await countText(texts.join('\n')))
  )
}

/** An estimate of an answer's tokens: what was said, refused, thought and called. */
export async function estimateAnswer(message: ChatMessage): Promise<number> {
  return await countText(textsOf(message).join('\n'))
}

/**
 * How many tokens a text has, nearly. It is cut into small pieces, since the tokenizer needs seconds for a long run of
 * one kind of letter, and of a very long text only the beginning and the end are counted, so that it never takes more
 * than some hundredths of a second.
 */
export async function countText(text: string): Promise<number> {
  if (text === '') return 0
  tokenizer ??= loadTokenizer()
  const count = await tokenizer
  if (text.length <= countedLength) return countPieces(text, count)
  const half = countedLength / 2
  const counted = countPieces(text.slice(0, half), count) + countPieces(text.slice(-half), count)
  return Math.round((counted * text.length) / countedLength)
}

/** In characters. */
const countedLength = 32_768
const pieceLength = 256

type Count = (text: string) => number

/** Its table takes 0.2 s and 68 MB, which only a process that counts should pay. */
let tokenizer: Promise<Count> | undefined

async function loadTokenizer(): Promise<Count> {
  const { countTokens, setMergeCacheSize } = await import('gpt-tokenizer/encoding/o200k_base')
  setMergeCacheSize(10_000)
  // Words that look like the tokenizer's own marks are text here.
  return (text) => countTokens(text, { disallowedSpecial: new Set() })
}

function countPieces(text: string, count: Count): number {
  let tokens = 0
  for (let at = 0; at < text.length; at += pieceLength) tokens += count(text.slice(at, at + pieceLength))
  return tokens
}

function textsOf(message: ChatMessage): string[] {
  const { content, name, refusal, reasoning_content: reasoning, tool_calls: calls = [] } = message
  const said = Array.isArray(content) ? content.map((part) => part.text ?? '') : [content ?? '']
  const called = calls.map(({ function: { name: of, arguments: args } }) => `${of} ${args}`)
  return [...said, name ?? '', refusal ?? '', reasoning ?? '', ...called].filter((text) => text !== '')
}

function isMedia({ type }: ContentPart): boolean {
  return type !== 'text' && type !== 'refusal'
}
