import { randomUUID } from 'node:crypto'
import { isRecord } from '@millrace/models/is-record'

/** Texts of a message or of a delta, in place: what is no text is made one, or goes. */
export function mendTexts(message: Record<string, unknown>): void {
  const { content, refusal, reasoning, reasoning_content } = message
  if (typeof content !== 'string' && content !== undefined && content !== null)
    message.content = textOf(content)
  if (typeof refusal !== 'string' && refusal !== undefined && refusal !== null) message.refusal = undefined
  // Two names for one thing, told by different versions of the same hosts.
  if (reasoning_content === undefined && typeof reasoning === 'string') message.reasoning_content = reasoning
  else if (typeof reasoning_content !== 'string' && reasoning_content !== null)
    message.reasoning_content = undefined
}

/** Why an answer ended; null for what is no reason. */
export function mendReason(reason: unknown): string | null {
  return typeof reason === 'string' && reason !== '' ? reason : null
}

/** The arguments of a call are JSON in a text; some hosts give the JSON itself. */
export function mendArguments(value: unknown): string | undefined {
  if (typeof value === 'string' || value === undefined || value === null) return value ?? undefined
  return JSON.stringify(value)
}

/** The id of a call to which its host gave none. */
export function callId(): string {
  return `call_${randomUUID().replaceAll('-', '')}`
}

/** Parts of texts become one text; numbers are written out. */
function textOf(content: unknown): string | undefined {
  if (typeof content === 'number' || typeof content === 'boolean') return String(content)
  if (!Array.isArray(content)) return undefined
  return content
    .map((part: unknown) => (isRecord(part) && typeof part.text === 'string' ? part.text : ''))
    .join('')
}
