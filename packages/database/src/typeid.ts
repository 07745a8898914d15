/**
 * The last part of a TypeID: the 128 bits of a UUID in 26 characters of Crockford's base32, lower case
 * (https://github.com/jetify-com/typeid/blob/main/spec/README.md). Several are made for each request, and the library of
 * the specification takes ten times as long: it is what the tests compare with.
 */
export function toSuffix(uuid: string): string {
  const hex = uuid.replaceAll('-', '')
  let suffix = pairs[Number.parseInt(hex.slice(0, 2), 16)] as string
  for (let i = 2; i < 32; i += 5) {
    const bits = Number.parseInt(hex.slice(i, i + 5), 16)
    suffix += pairs[bits >> 10] + (pairs[bits & 1023] as string)
  }
  return suffix
}

/** The UUID that a suffix spells, or undefined when it is none. */
export function fromSuffix(suffix: string): string | undefined {
  if (!/^[0-7][0-9a-hjkmnp-tv-z]{25}$/.test(suffix)) return undefined
  let hex = bitsOf(suffix, 0, 2).toString(16).padStart(2, '0')
  for (let i = 2; i < 26; i += 4)
    hex += bitsOf(suffix, i, i + 4)
      .toString(16)
      .padStart(5, '0')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

function bitsOf(suffix: string, from: number, to: number): number {
  let bits = 0
  for (let i = from; i < to; i++) bits = bits * 32 + alphabet.indexOf(suffix.charAt(i))
  return bits
}

const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'

/** The two characters of each ten bits. */
const pairs = Array.from(alphabet, (high) => Array.from(alphabet, (low) => high + low)).flat()
