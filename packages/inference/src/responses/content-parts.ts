import { isRecord } from '@millrace/models/is-record'
import type { ChatMessage, ContentPart } from '../chat.ts'
import { asList, asRecord, asText, badParameter, inWords, withoutAbsent } from '../read-fields.ts'

/** The content of an item as chat has it: one text alone as a string, which the templates of all models understand. */
export function toChatContent(content: unknown, path: string): string | ContentPart[] {
  if (typeof content === 'string') return content
  const parts = asList(content ?? [], path).map((part, at) =>
    toChatPart(asRecord(part, `${path}[${at}]`), `${path}[${at}]`),
  )
  const [first] = parts
  return parts.length === 1 && first?.type === 'text' ? (first.text ?? '') : parts
}

/** The texts of a content, as one. */
export function textOf(content: ChatMessage['content']): string {
  if (!Array.isArray(content)) return content ?? ''
  return content.map((part) => (part.type === 'text' ? (part.text ?? '') : '')).join('')
}

/** The refusal in a content, where there is one. */
export function refusalOf(content: ChatMessage['content']): string | undefined {
  if (!Array.isArray(content)) return undefined
  const refusal = content.find((part) => part.type === 'refusal')?.refusal
  return typeof refusal === 'string' ? refusal : undefined
}

/** A part as Responses has it, of what a role says. */
export function toItemPart(part: ContentPart, role: ChatMessage['role']): Record<string, unknown> {
  if (part.type === 'text')
    return { type: role === 'assistant' ? 'output_text' : 'input_text', text: part.text ?? '' }
  if (part.type === 'image_url') {
    return { type: 'input_image', image_url: part.image_url?.url, detail: part.image_url?.detail ?? 'auto' }
  }
  if (part.type === 'file' && isRecord(part.file)) return { type: 'input_file', ...part.file }
  return part
}

function toChatPart(part: Record<string, unknown>, path: string): ContentPart {
  switch (part.type) {
    case 'input_text':
    case 'output_text':
    case 'text':
      return { type: 'text', text: asText(part.text, `${path}.text`) }
    case 'refusal':
      return { type: 'refusal', refusal: asText(part.refusal, `${path}.refusal`) }
    case 'input_image':
      return toImage(part, path)
    case 'input_file':
      return toFile(part, path)
    case 'image_url':
    case 'file':
    case 'input_audio':
      return part as ContentPart
    default:
      throw badParameter('input', `${path} is of the type ${inWords(part.type)}, which is not served here.`)
  }
}

function toImage(part: Record<string, unknown>, path: string): ContentPart {
  const { image_url: url, detail } = part
  if (typeof url !== 'string')
    throw badParameter('input', `${path} needs an image_url, as https: or data: URL.`)
  return { type: 'image_url', image_url: { url, ...(typeof detail === 'string' && { detail }) } }
}

function toFile(part: Record<string, unknown>, path: string): ContentPart {
  const { file_data: data, filename } = part
  if (typeof data !== 'string') throw badParameter('input', `${path} needs file_data, as a data: URL.`)
  return { type: 'file', file: withoutAbsent({ filename, file_data: data }) }
}
