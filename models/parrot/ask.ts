import { type Message, textOf } from './orders.ts'

/**
 * What a parrot answers. It calls a tool that it must call, or that is named to it; it repeats what a tool answered, and
 * else what was said, with the number of images that came along.
 */
export function ask(request: Request, said: string): Answer {
  const { messages, tools, tool_choice: choice } = request
  const last = messages.at(-1)
  const words = messages.reduce((sum, message) => sum + countWords(textOf(message)), 0)
  const stated = request.max_completion_tokens ?? request.max_tokens
  const limit = typeof stated === 'number' ? stated : Number.POSITIVE_INFINITY
  const calls = last?.role === 'tool' ? [] : callsOf(toolsIn(tools), choice, said)
  if (calls.length > 0) return { calls, words, limit, text: undefined }
  return { calls, words, limit, text: formed(replyTo(messages, said), request) }
}

function replyTo(messages: readonly Message[], said: string): string {
  const last = messages.at(-1)
  if (last?.role === 'tool') return `The tool said: ${textOf(last)}`
  const images = imagesIn(messages)
  const seen = images > 0 ? ` I see ${images} image${images === 1 ? '' : 's'}.` : ''
  return `${said || 'Hello.'}${seen}`
}

/** Where JSON is asked for, JSON. */
function formed(text: string, { response_format: format }: Request): string {
  const type = (format as { type?: unknown } | undefined)?.type
  return type === 'json_object' || type === 'json_schema' ? JSON.stringify({ said: text }) : text
}

function callsOf(tools: Tool[], choice: unknown, said: string): Call[] {
  if (choice === 'none' || tools.length === 0) return []
  const forced = (choice as { function?: { name?: unknown } } | undefined)?.function?.name
  const wanted =
    forced === undefined
      ? tools.filter(({ name }) => said.includes(name))
      : tools.filter(({ name }) => name === forced)
  const chosen = wanted.length > 0 || choice !== 'required' ? wanted : tools.slice(0, 1)
  return chosen.map((tool, index) => ({
    index,
    id: `call_${index}_${tool.name}`,
    type: 'function',
    function: { name: tool.name, arguments: argumentsFor(tool, said) },
  }))
}

/** The JSON object that was said, else what was said for every text that the tool needs. */
function argumentsFor({ parameters }: Tool, said: string): string {
  const [stated] = /\{.*\}/s.exec(said) ?? []
  if (stated !== undefined && isJson(stated)) return stated
  const { required = [] } = (parameters ?? {}) as { required?: unknown[] }
  return JSON.stringify(Object.fromEntries(required.map((name) => [String(name), said])))
}

function toolsIn(tools: unknown): Tool[] {
  const all = Array.isArray(tools) ? (tools as { function?: Tool }[]) : []
  return all.flatMap((tool) => (typeof tool.function?.name === 'string' ? [tool.function] : []))
}

function imagesIn(messages: readonly Message[]): number {
  return messages
    .flatMap(({ content }) => (Array.isArray(content) ? (content as { type?: unknown }[]) : []))
    .filter(({ type }) => type === 'image_url').length
}

function countWords(text: string): number {
  return text.match(/\S+/g)?.length ?? 0
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

interface Request {
  messages: readonly Message[]
  tools?: unknown
  tool_choice?: unknown
  response_format?: unknown
  max_tokens?: unknown
  max_completion_tokens?: unknown
}

interface Answer {
  text: string | undefined
  calls: Call[]
  /** Of the prompt. */
  words: number
  /** The most words of an answer. */
  limit: number
}

interface Call {
  index: number
  id: string
  type: 'function'
  function: { name: string; arguments: string }
}

interface Tool {
  name: string
  parameters?: unknown
}
