import { extname } from 'node:path'

/** What bytes are by how they begin. What a host says of them is often the same whatever they are. */
export function typeOfBytes(bytes: Uint8Array): string | undefined {
  const start = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.byteLength, 16)).toString('latin1')
  return beginnings.find(([pattern]) => pattern.test(start))?.[1]
}

/** What a file's name, or the name of a format, says that it is. */
export function typeOfName(name: string): string | undefined {
  return types.find(([extension]) => extension === (extname(name) || `.${name}`).toLowerCase())?.[1]
}

/** How the names of such files end; nothing for what is not known. */
export function extensionOf(type: string | undefined): string {
  return types.find(([, one]) => one === type)?.[0] ?? ''
}

/** A type without its parameters, unless it says no more than that there are bytes. */
export function plainType(header: string | undefined): string | undefined {
  const type = header?.split(';')[0]?.trim().toLowerCase()
  return type && !/octet-stream$/.test(type) ? type : undefined
}

const beginnings: readonly [RegExp, string][] = [
  [/^\x89PNG/, 'image/png'],
  [/^\xff\xd8\xff/, 'image/jpeg'],
  [/^RIFF.{4}WEBP/s, 'image/webp'],
  [/^GIF8/, 'image/gif'],
  [/^RIFF.{4}WAVE/s, 'audio/wav'],
  [/^fLaC/, 'audio/flac'],
  [/^OggS/, 'audio/ogg'],
  [/^\xff[\xf1\xf9]/, 'audio/aac'],
  [/^(ID3|\xff[\xf2\xf3\xfa\xfb])/, 'audio/mpeg'],
  [/^.{4}ftypM4A/s, 'audio/mp4'],
  [/^.{4}ftyp/s, 'video/mp4'],
  [/^.E\xdf\xa3/s, 'video/webm'],
]

/** The first of a type is what its files are called. */
const types: readonly [string, string][] = [
  ['.png', 'image/png'],
  ['.jpg', 'image/jpeg'],
  ['.jpeg', 'image/jpeg'],
  ['.webp', 'image/webp'],
  ['.gif', 'image/gif'],
  ['.mp3', 'audio/mpeg'],
  ['.mpeg', 'audio/mpeg'],
  ['.mpga', 'audio/mpeg'],
  ['.wav', 'audio/wav'],
  ['.flac', 'audio/flac'],
  ['.opus', 'audio/ogg'],
  ['.ogg', 'audio/ogg'],
  ['.aac', 'audio/aac'],
  ['.m4a', 'audio/mp4'],
  ['.pcm', 'audio/pcm'],
  ['.mp4', 'video/mp4'],
  ['.webm', 'video/webm'],
]
