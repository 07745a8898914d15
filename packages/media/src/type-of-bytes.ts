import { anyBytes, usualType } from './file-types.ts'

/**
 * What a file is by what its bytes say. Where they say nothing, as plain text does, it is what was claimed, unless that
 * is something that its first bytes would show: then it is just bytes.
 */
export async function typeOfBytes(head: Uint8Array, claimed: string): Promise<string> {
  const said = claimed.split(';', 1)[0]?.trim().toLowerCase() ?? ''
  const found = await shownType(head)
  if (found === undefined) return (await wouldShow(said)) ? anyBytes : said || anyBytes
  // A picture in SVG is XML, and a document is a ZIP: the claim tells more, and the bytes do not deny it.
  return containers[found]?.test(said) ? said : found
}

/** Which picture, sound or film it is that begins like this; undefined where it is none. */
export async function mediaTypeOfBytes(head: Uint8Array): Promise<string | undefined> {
  const type = usualType((await shownType(head)) ?? '')
  return /^(image|audio|video)\//.test(type) ? type : undefined
}

/** So many of a file's first bytes are looked at. */
export const headBytes = 4_100

async function shownType(head: Uint8Array): Promise<string | undefined> {
  const { fileTypeFromBuffer } = await detector()
  const found = await fileTypeFromBuffer(head.subarray(0, headBytes)).catch(() => undefined)
  return found?.mime.split(';', 1)[0]
}

async function wouldShow(type: string): Promise<boolean> {
  const { supportedMimeTypes } = await detector()
  const known: ReadonlySet<string> = supportedMimeTypes
  return known.has(type) || known.has(usualType(type))
}

/** Loaded with the first file that is judged: most models say nothing of types. */
function detector() {
  return import('file-type')
}

const containers: Record<string, RegExp> = {
  'application/xml': /\+xml$|^text\/xml$/,
  'application/zip': /^application\/(vnd\.|.*\+zip$)/,
  'application/x-cfb': /^application\/(vnd\.ms-|msword)/,
}
