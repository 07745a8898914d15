/** The bytes inside a data URL (RFC 2397), or undefined when the text is not one or its base64 is broken. */
export function parseDataUrl(text: string): DataUrl | undefined {
  if (!isDataUrl(text)) return undefined
  const comma = text.indexOf(',')
  if (comma === -1) return undefined

  const header = text.slice('data:'.length, comma)
  const data = text.slice(comma + 1)
  const type = header.replace(/;\s*base64$/i, '')
  const bytes = type === header ? decodePercent(data) : decodeBase64(data)
  return bytes && { contentType: contentTypeOf(type), bytes }
}

/** Whether a text means to be a data URL; it may be a broken one. */
export function isDataUrl(text: string): boolean {
  return /^data:/i.test(text)
}

/** The data URL of some bytes. */
export function dataUrlOf({ contentType, bytes }: DataUrl): string {
  return `data:${contentType};base64,${bytes.toString('base64')}`
}

/**
 * The bytes that base64 stands for, in either alphabet, padded or not; undefined where it is broken. Node's decoder skips
 * what it does not know: a picture cut by a bad copy should be refused, not half read.
 */
export function bytesOfBase64(text: string): Buffer | undefined {
  const clean = text.replace(/\s+/g, '')
  const digits = clean.replace(/={1,2}$/, '')
  return /^[\w+/-]*$/.test(digits) && digits.length % 4 !== 1 ? Buffer.from(digits, 'base64') : undefined
}

function decodeBase64(data: string): Buffer | undefined {
  return bytesOfBase64(data.includes('%') ? decodePercent(data).toString('latin1') : data)
}

function decodePercent(data: string): Buffer {
  const raw = Buffer.from(data, 'utf8')
  if (!data.includes('%')) return raw
  const bytes = Buffer.alloc(raw.length)
  let length = 0
  for (let at = 0; at < raw.length; at += 1) {
    const hex = raw[at] === percent ? raw.toString('latin1', at + 1, at + 3) : ''
    const escaped = /^[0-9a-f]{2}$/i.test(hex)
    bytes[length++] = escaped ? Number.parseInt(hex, 16) : (raw[at] ?? 0)
    if (escaped) at += 2
  }
  return bytes.subarray(0, length)
}

/** What cannot stand in a header becomes the RFC's default. */
function contentTypeOf(header: string): string {
  const named = header.startsWith(';') ? `text/plain${header}` : header
  return /^[\w.+-]+\/[\w.+-]+(;[\w.+-]+=[\w.+"' -]+)*$/.test(named)
    ? named.toLowerCase()
    : 'text/plain;charset=us-ascii'
}

const percent = '%'.charCodeAt(0)

export type DataUrl = { contentType: string; bytes: Buffer }
