import { isRecord } from '@millrace/models/is-record'
import type { ContentPart } from './chat.ts'

/**
 * What a part that is no text counts for, without looking into it: a picture 85 tokens at low detail and 765 otherwise
 * (OpenAI's price of 1024 by 1024 pixels), sound 10 a second, a file of text one for 4 bytes, any other file one for 40
 * (a page of a PDF is about 1,500). What else there is counts as a picture.
 */
export function mediaTokens(part: ContentPart): number {
  if (part.type === 'input_audio' && isRecord(part.input_audio)) {
    const { data, format } = part.input_audio
    return Math.ceil((10 * bytesOf(data)) / (format === 'wav' ? 48_000 : 16_000))
  }
  if (part.type === 'file' && isRecord(part.file)) {
    const { file_data: data } = part.file
    const isText = typeof data === 'string' && data.startsWith('data:text/')
    return Math.ceil(bytesOf(data) / (isText ? 4 : 40))
  }
  return part.image_url?.detail === 'low' ? 85 : 765
}

/** Of base64, which may be in a data URL. */
function bytesOf(data: unknown): number {
  if (typeof data !== 'string') return 0
  return Math.floor(((data.length - data.indexOf(',') - 1) * 3) / 4)
}
