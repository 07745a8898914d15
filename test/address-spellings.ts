/** The ways of writing an IPv4 address that a URL turns into that very address. */
export function spellingsOf(address: string): string[] {
  const bytes = address.split('.').map(Number)
  const [a = 0, b = 0, c = 0, d = 0] = bytes
  const number = numberOf(address)
  const octal = bytes.map((byte) => `0${byte.toString(8)}`)
  const hex = bytes.map((byte) => `0x${byte.toString(16)}`)
  return [
    address,
    `${address}.`,
    `${number}`,
    `0${number.toString(8)}`,
    `0x${number.toString(16)}`,
    `0X000${number.toString(16).toUpperCase()}`,
    octal.join('.'),
    octal.map((byte) => `000${byte}`).join('.'),
    hex.join('.'),
    `${hex[0]}.${octal[1]}.${c}.${d}`,
    `${a}.${b}.${c * 256 + d}`,
    `${a}.${(b * 256 + c) * 256 + d}`,
    fullWidth(address),
    address.replaceAll('.', '。'),
    address.replaceAll('.', '%2e'),
    percentEncoded(address),
    `[::ffff:${address}]`,
    `[::FFFF:${groupsOf(number)}]`,
    `[0:0:0:0:0:ffff:${groupsOf(number)}]`,
  ]
}

/** The IPv6 addresses that lead to an IPv4 address by way of a translator or a tunnel, or once did. */
export function tunnelsOf(address: string): string[] {
  const groups = groupsOf(numberOf(address))
  const inverted = groupsOf(0xffff_ffff - numberOf(address))
  return [
    `[::${address}]`,
    `[::ffff:0:${groups}]`,
    `[64:ff9b::${groups}]`,
    `[64:ff9b:1::${groups}]`,
    `[2002:${groups}::1]`,
    `[2001:0:${groups}::1]`,
    `[2001:0:5db8:d822:0:0:${inverted}]`,
  ]
}

function numberOf(address: string): number {
  return address.split('.').reduce((number, byte) => number * 256 + Number(byte), 0)
}

function groupsOf(number: number): string {
  return `${(number >>> 16).toString(16)}:${(number & 0xffff).toString(16)}`
}

function fullWidth(text: string): string {
  return [...text].map((sign) => String.fromCharCode(sign.charCodeAt(0) + 0xfee0)).join('')
}

function percentEncoded(text: string): string {
  return [...text].map((sign) => `%${sign.charCodeAt(0).toString(16)}`).join('')
}
