import ipaddr from 'ipaddr.js'

/** Whether an address is in one of the ranges. An IPv4 address that came as IPv6 (`::ffff:10.0.0.1`) is the IPv4 one. */
export function isInRanges(address: string | undefined, ranges: readonly string[]): boolean {
  if (address === undefined || !ipaddr.isValid(address)) return false
  const one = ipaddr.process(address)
  return ranges.some((range) => {
    const [network, bits] = parsed(range)
    return one.kind() === network.kind() && one.match(network, bits)
  })
}

/** Whether every address of `inner` is in one of `ranges`. */
export function coversRange(ranges: readonly string[], inner: string): boolean {
  const [network, bits] = parsed(inner)
  return ranges.some((range) => {
    const [outer, outerBits] = parsed(range)
    return outer.kind() === network.kind() && bits >= outerBits && network.match(outer, outerBits)
  })
}

/** Whether it is an address or a range, written so that nobody takes it for another one: `10.1/16` would be 10.0.0.1/16. */
export function isRange(text: string): boolean {
  const [address = ''] = text.split('/')
  if (!address.includes(':') && !ipaddr.IPv4.isValidFourPartDecimal(address)) return false
  try {
    parsed(text)
    return true
  } catch {
    return false
  }
}

function parsed(text: string): Range {
  const [address, bits] = text.includes('/') ? ipaddr.parseCIDR(text) : wholeOf(ipaddr.parse(text))
  if (address instanceof ipaddr.IPv6 && address.isIPv4MappedAddress() && bits >= mappedBits)
    return [address.toIPv4Address(), bits - mappedBits]
  return [address, bits]
}

function wholeOf(address: ipaddr.IPv4 | ipaddr.IPv6): Range {
  return [address, address.kind() === 'ipv4' ? 32 : 128]
}

/** Of an IPv6 address that stands for an IPv4 one, those that say so. */
const mappedBits = 96

type Range = [ipaddr.IPv4 | ipaddr.IPv6, number]
