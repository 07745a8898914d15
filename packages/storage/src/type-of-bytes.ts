/**
 * What a file is by what its bytes say. Where they say nothing, as plain text does, it is what was claimed, unless that
 * is something that its first bytes would show: then it is just bytes.
 */
export async function typeOfBytes(head: Uint8Array, claimed: string): Promise<string> {
  // Loaded with the first file that is judged: most models say nothing of types.
  const { fileTypeFromBuffer, supportedMimeTypes } = await import('file-type')
  const said = claimed.split(';', 1)[0]?.trim().toLowerCase() ?? ''
  const found = await fileTypeFromBuffer(head).catch(() => undefined)
  if (!found) return shownByBytes(said, supportedMimeTypes) ? anyBytes : said || anyBytes
  const type = found.mime.split(';', 1)[0] ?? anyBytes
  // A picture in SVG is XML, and a document is a ZIP: the claim tells more, and the bytes do not deny it.
  return containers[type]?.test(said) ? said : type
}

/** So many of a file's first bytes are looked at. */
export const headBytes = 4_100

/** One name of a type that has several. */
export function plainType(type: string): string {
  return otherNames[type] ?? type
}

function shownByBytes(type: string, known: ReadonlySet<string>): boolean {
  return known.has(type) || known.has(plainType(type))
}

const anyBytes = 'application/octet-stream'

const containers: Record<string, RegExp> = {
  'application/xml': /\+xml$|^text\/xml$/,
  'application/zip': /^application\/(vnd\.|.*\+zip$)/,
  'application/x-cfb': /^application\/(vnd\.ms-|msword)/,
}

const otherNames: Record<string, string> = {
  'audio/mp3': 'audio/mpeg',
  'audio/vnd.wave': 'audio/wav',
  'audio/x-m4a': 'audio/mp4',
  'audio/x-wav': 'audio/wav',
  'image/apng': 'image/png',
  'image/jpg': 'image/jpeg',
  'image/x-png': 'image/png',
  'video/avi': 'video/vnd.avi',
  'video/x-matroska': 'video/matroska',
  'video/x-msvideo': 'video/vnd.avi',
  'video/x-m4v': 'video/mp4',
}
