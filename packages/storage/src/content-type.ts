import { anyBytes } from '@millrace/media/file-types'

/** A caller's or a model's content type where it can stand in the header of a download; else that of any bytes. */
export function safeContentType(text: string): string {
  return text.length <= 255 && /^[\w.+-]+\/[\w.+-]+( *;[\x20-\x7e]*)?$/.test(text) ? text : anyBytes
}
