import type { ChatDelta, ChatMessage, ChatRequest, ContentPart } from './chat.ts'
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

/**
 * About as many tokens as a prompt has at most, in no time: a token is rarely less than three bytes of text. For what is
 * to be known before anybody counts.
 */
export function guessPrompt({ messages, tools, response_format }: ChatRequest): number {
  const texts = messages.flatMap(textsOf)
  if (tools && tools.length > 0) texts.push(JSON.stringify(tools))
  if (response_format) texts.push(JSON.stringify(response_format))
  const media = messages.flatMap(({ content }) => (Array.isArray(content) ? content.filter(isMedia) : []))
  const around = 3 * (messages.length + 1)
  return guessText(texts) + media.reduce((sum, part) => sum + mediaTokens(part), around)
}

/** The same of texts alone. */
export function guessText(texts: readonly string[]): number {
  return texts.reduce((sum, text) => sum + Math.ceil(Buffer.byteLength(text) / 3), 0)
}

/** An estimate of what is to be embedded: texts, and tokens that somebody else has cut. */
export async function estimateInput(
  input: string | readonly (string | number | number[])[],
): Promise<number> {
  const parts = [input].flat(2)
  const texts = parts.filter((part) => typeof part === 'string')
  return (await countText(texts.join('\n'))) + parts.length - texts.length
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
  const tally = tallyText()
  tally.add(text)
  return tally.count()
}

/** The same for a text that comes in parts, of which no more is kept than is counted, however long it becomes. */
export function tallyText(): TextTally {
  let head = ''
  let tail = ''
  let length = 0
  return {
    add(part) {
      const room = half - head.length
      length += part.length
      if (room > 0) head += part.slice(0, room)
      if (room < part.length) tail += part.slice(Math.max(0, room))
      if (tail.length > countedLength) tail = tail.slice(-half)
    },
    async count() {
      if (length === 0) return 0
      tokenizer ??= loadTokenizer()
      const countIn = await tokenizer
      if (length <= countedLength) return countPieces(head + tail, countIn)
      const counted = countPieces(head, countIn) + countPieces(tail.slice(-half), countIn)
      return Math.round((counted * length) / countedLength)
    },
  }
}

/** In characters. */
const countedLength = 32_768
const half = countedLength / 2
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

/** All that a message, or a part of one, says in words. */
export function textsOf(message: Partial<ChatMessage> | ChatDelta): string[] {
  const { content, name, refusal, reasoning_content: reasoning, tool_calls: calls } = message
  const said: unknown[] = Array.isArray(content) ? content.map((part) => part.text) : [content]
  // A request may say anything here: its host is who refuses it.
  const called: unknown[] = (calls ?? []).flatMap(({ function: of }) => [of?.name, of?.arguments])
  return [...said, name, refusal, reasoning, ...called].filter(
    (text): text is string => typeof text === 'string' && text !== '',
  )
}

function isMedia({ type }: ContentPart): boolean {
  return type !== 'text' && type !== 'refusal'
}

/** See `tallyText`. */
export interface TextTally {
  add(part: string): void
  count(): Promise<number>
}
