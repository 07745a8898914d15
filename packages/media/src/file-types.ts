import { extname } from 'node:path'

/** What a file's name says that it is; undefined where its extension says nothing to us. */
export function typeOfName(name: string): string | undefined {
  return byExtension.get(extname(name).toLowerCase())
}

/** How the names of files of a type end, with the dot; nothing where that is not known. */
export function extensionOf(type: string): string {
  const usual = usualType(type)
  // Most media are called what their files end with: image/bmp, audio/aiff.
  const [, subtype] = /^(?:image|audio|video)\/([a-z0-9]{2,5})$/.exec(usual) ?? []
  return byType.get(usual) ?? (subtype === undefined ? '' : `.${subtype}`)
}

/** A content type without its parameters, in lower case, and under one name where it has several. */
export function usualType(type: string): string {
  const plain = type.split(';', 1)[0]?.trim().toLowerCase() ?? ''
  return otherNames[plain] ?? plain
}

/** What is known of any bytes. */
export const anyBytes = 'application/octet-stream'

/** The first extension of a type is what its files are called. */
const types: readonly (readonly [extension: string, type: string])[] = [
  ['.png', 'image/png'],
  ['.jpg', 'image/jpeg'],
  ['.jpeg', 'image/jpeg'],
  ['.webp', 'image/webp'],
  ['.gif', 'image/gif'],
  ['.avif', 'image/avif'],
  ['.svg', 'image/svg+xml'],
  ['.tiff', 'image/tiff'],
  ['.tif', 'image/tiff'],
  ['.mp3', 'audio/mpeg'],
  ['.mpga', 'audio/mpeg'],
  ['.wav', 'audio/wav'],
  ['.flac', 'audio/flac'],
  ['.ogg', 'audio/ogg'],
  ['.opus', 'audio/ogg'],
  ['.aac', 'audio/aac'],
  ['.m4a', 'audio/mp4'],
  ['.pcm', 'audio/pcm'],
  ['.mp4', 'video/mp4'],
  ['.mpeg', 'video/mpeg'],
  ['.webm', 'video/webm'],
  ['.mov', 'video/quicktime'],
  ['.txt', 'text/plain'],
  ['.md', 'text/markdown'],
  ['.csv', 'text/csv'],
  ['.vtt', 'text/vtt'],
  ['.srt', 'application/x-subrip'],
  ['.json', 'application/json'],
  ['.pdf', 'application/pdf'],
  ['.zip', 'application/zip'],
]

const byExtension = new Map(types)
const byType = new Map(types.map(([extension, type]) => [type, extension] as const).reverse())

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
