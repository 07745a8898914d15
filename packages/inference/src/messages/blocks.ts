import type { ContentPart } from '../chat.ts'
import { asList, asRecord, asText, badParameter, inWords } from '../read-fields.ts'

/** A block of what a user says, or of a result, as parts of chat. Throws for blocks that only Anthropic can read. */
export function toChatParts(block: Record<string, unknown>, path: string): ContentPart[] {
  switch (block.type) {
    case 'text':
      return [{ type: 'text', text: asText(block.text, `${path}.text`) }]
    case 'image':
      return [toImage(asRecord(block.source, `${path}.source`), `${path}.source`)]
    case 'document':
      return toDocument(block, path)
    case 'search_result':
      return [titled(block, inner(block.content, `${path}.content`))]
    default:
      throw badParameter(
        'messages',
        `${path} is of the type ${inWords(block.type)}, which is not served here.`,
      )
  }
}

function toImage(source: Record<string, unknown>, path: string): ContentPart {
  if (source.type === 'url')
    return { type: 'image_url', image_url: { url: asText(source.url, `${path}.url`) } }
  if (source.type === 'base64') return { type: 'image_url', image_url: { url: dataUrl(source, path) } }
  throw badParameter('messages', `${path} must be of the type base64 or url.`)
}

function toDocument(block: Record<string, unknown>, path: string): ContentPart[] {
  const source = asRecord(block.source, `${path}.source`)
  switch (source.type) {
    case 'base64': {
      const filename = typeof block.title === 'string' ? block.title : 'document.pdf'
      return [{ type: 'file', file: { filename, file_data: dataUrl(source, `${path}.source`) } }]
    }
    case 'text':
      return [titled(block, [{ type: 'text', text: asText(source.data, `${path}.source.data`) }])]
    case 'content':
      return inner(source.content, `${path}.source.content`)
    default:
      throw badParameter('messages', `${path}.source must be of the type base64, text or content.`)
  }
}

function inner(content: unknown, path: string): ContentPart[] {
  if (typeof content === 'string') return [{ type: 'text', text: content }]
  return asList(content, path).flatMap((one, at) =>
    toChatParts(asRecord(one, `${path}[${at}]`), `${path}[${at}]`),
  )
}

/** One text with the title and where it is from above it. */
function titled({ title, source, context }: Record<string, unknown>, parts: ContentPart[]): ContentPart {
  const above = [title, source, context].filter((one) => typeof one === 'string' && one !== '')
  return { type: 'text', text: [...above, ...parts.map(({ text }) => text ?? '')].join('\n') }
}

function dataUrl(source: Record<string, unknown>, path: string): string {
  const type = asText(source.media_type, `${path}.media_type`)
  return `data:${type};base64,${asText(source.data, `${path}.data`)}`
}
