/** The last message without its orders, and the orders: which part to do it at, never where there is none. */
export function readOrders(messages: readonly Message[]): { said: string; orders: Orders } {
  const text = textOf(messages.findLast(({ role }) => role === 'user'))
  const numbers: Record<string, number> = {}
  const said = text.replaceAll(
    /\/(slow|fail|stall|cut|refuse|think)\b(?: +(\d+))?/g,
    (_, name: string, at?: string) => {
      numbers[name] = Number(at ?? 0)
      return ''
    },
  )
  const at = (name: string) => numbers[name] ?? Number.POSITIVE_INFINITY
  return {
    said: said.trim(),
    orders: {
      slow: numbers.slow ?? 0,
      fail: numbers.fail ?? -1,
      stall: at('stall'),
      cut: at('cut'),
      refuse: 'refuse' in numbers,
      think: 'think' in numbers,
    },
  }
}

/** All text of a message. */
export function textOf(message: Message | undefined): string {
  const { content } = message ?? {}
  if (typeof content === 'string') return content
  const parts = Array.isArray(content) ? (content as { text?: unknown }[]) : []
  return parts.flatMap(({ text }) => (typeof text === 'string' ? [text] : [])).join(' ')
}

/** A message, of which only some is looked at. */
export interface Message {
  role: string
  content?: unknown
  tool_call_id?: unknown
}

interface Orders {
  /** Milliseconds. */
  slow: number
  /** Before this part; -1: not at all. */
  fail: number
  stall: number
  cut: number
  refuse: boolean
  think: boolean
}
