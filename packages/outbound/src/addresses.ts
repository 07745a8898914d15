import ipaddr from 'ipaddr.js'

type Address = ipaddr.IPv4 | ipaddr.IPv6

/**
 * Judges single addresses: the public internet is open, what the operator or a loopback HOST opens is open too, all
 * else is closed, and metadata services stay closed whatever anyone opens.
 */
export function createAddressRule({ allow, loopback }: AddressOptions): (address: string) => boolean {
  const opened = allow.map(parseRange)

  return (text) => {
    if (!ipaddr.isValid(text)) return false
    const address = ipaddr.process(text) // an IPv4-mapped address is the IPv4 address: the kernel connects to that
    if (isMetadata(address) || embedded(address).some(isMetadata)) return false
    if (opened.some((range) => inside(address, range))) return true
    if (loopback && address.range() === 'loopback') return true
    return isPublic(address)
  }
}

/** Metadata services of the large clouds. Azure's is a public address, the others are link-local or private ones. */
const metadata = [
  '169.254.169.254/32', // AWS, Google, Azure, DigitalOcean, Hetzner, Oracle
  '169.254.170.0/24', // AWS container credentials
  '168.63.129.16/32', // Azure's host
  '100.100.100.200/32', // Alibaba
  '192.0.0.192/32', // Oracle's older one
  'fd00:ec2::/32', // AWS: instance metadata, container credentials, its DNS and time
  'fd20:ce::254/128', // Google
].map(parseRange)

const globalUnicast = parseRange('2000::/3')
const nat64 = parseRange('64:ff9b::/96')

function isMetadata(address: Address): boolean {
  return metadata.some((range) => inside(address, range))
}

/** Special ranges by the IANA registries, and for IPv6 only the part that is given out at all. */
function isPublic(address: Address): boolean {
  if (address.kind() === 'ipv4') return address.range() === 'unicast'
  // Where DNS64 serves an IPv6-only network, every IPv4 site looks like this.
  if (inside(address, nat64)) return embedded(address).every(isPublic)
  return address.range() === 'unicast' && inside(address, globalUnicast)
}

/** The IPv4 addresses that an IPv6 address may stand for: compatible, translated, NAT64, 6to4, Teredo. */
function embedded(address: Address): ipaddr.IPv4[] {
  if (address.kind() === 'ipv4') return []
  const bytes = address.toByteArray()
  const range = address.range()
  if (range === '6to4') return [new ipaddr.IPv4(bytes.slice(2, 6))]
  if (range === 'teredo') {
    return [new ipaddr.IPv4(bytes.slice(4, 8)), new ipaddr.IPv4(bytes.slice(12).map((byte) => byte ^ 0xff))]
  }
  return [new ipaddr.IPv4(bytes.slice(12))]
}

function inside(address: Address, [network, bits]: Range): boolean {
  return address.kind() === network.kind() && address.match(network, bits)
}

function parseRange(text: string): Range {
  try {
    return ipaddr.parseCIDR(text)
  } catch (cause) {
    throw new Error(`"${text}" is not a range of addresses; write it like 10.1.0.0/16 or fd12::/48`, {
      cause,
    })
  }
}

export type AddressOptions = {
  /** CIDR ranges that the operator opens. */
  allow: readonly string[]
  /** Whether this machine itself may be a target: only when the service listens nowhere else. */
  loopback: boolean
}

/** What a name stands for. */
export type ResolvedAddress = { address: string; family: number }

type Range = [Address, number]
