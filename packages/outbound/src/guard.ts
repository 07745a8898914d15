import { isIP, type LookupFunction } from 'node:net'
import { type AddressOptions, createAddressRule, type ResolvedAddress } from './addresses.ts'
import { createNameLookup, type NameLookup, UnansweredNameError } from './name-lookup.ts'
import { untilAborted } from './until-aborted.ts'

/**
 * The one guard for every outbound call that a user can aim: webhook URLs, input files, images in chat.
 *
 * A caller needs both halves. `check` looks at the URL and is due before every request and every redirect hop: a host
 * that is an address is never looked up. `lookup` goes to the socket, which then connects to the addresses judged
 * there and no others, so a name that changes its mind after `check` gains nothing. Neither waits for a name longer than
 * `lookupMs`.
 */
export function createGuard(options: GuardOptions): Guard {
  const { closedPorts = [], resolve = createNameLookup(), lookupMs = 5_000 } = options
  const permits = createAddressRule(options)

  async function judgeName(host: string): Promise<Judged> {
    const signal = AbortSignal.timeout(lookupMs)
    try {
      const addresses = await untilAborted(signal, resolve(host))
      const open = addresses.length > 0 && addresses.every(({ address }) => permits(address))
      return open ? { addresses } : { refusal: refuse('address') }
    } catch (error) {
      const unanswered = signal.aborted || error instanceof UnansweredNameError
      return { refusal: refuse(unanswered ? 'unanswered' : 'address') }
    }
  }

  async function check(text: string): Promise<Refusal | undefined> {
    const url = URL.parse(text)
    if (!url) return refuse('malformed')
    if (url.protocol !== 'http:' && url.protocol !== 'https:') return refuse('scheme')
    if (url.username !== '' || url.password !== '') return refuse('credentials')
    if (portOf(url) === 0 || closedPorts.includes(portOf(url))) return refuse('port')

    // URL has already turned 0x7f.1, 017700000001 and 2130706433 into 127.0.0.1.
    const host = url.hostname.replace(/^\[|\]$/g, '')
    if (isIP(host) > 0) return permits(host) ? undefined : refuse('address')
    return (await judgeName(host)).refusal
  }

  const lookup: LookupFunction = (host, { all }, done) => {
    judgeName(host).then(({ addresses: [first, ...rest] = [], refusal = refuse('address') }) => {
      if (!first) done(new RefusedTargetError(refusal), '')
      else if (all) done(null, [first, ...rest])
      else done(null, first.address, first.family)
    })
  }

  return { check, lookup, permits }
}

/** What a guarded socket fails with. */
export class RefusedTargetError extends Error {
  readonly refusal: Refusal

  constructor(refusal: Refusal) {
    super(refusal.message)
    this.name = 'RefusedTargetError'
    this.refusal = refusal
  }
}

// One text for "does not exist", "resolves to a closed address" and "is one": a name of the inner network is not
// given away, nor whether anything listens there.
const messages = {
  malformed: 'The URL is not a valid absolute URL',
  scheme: 'The URL must start with http:// or https://',
  credentials: 'The URL must not carry a user name or password',
  port: 'The URL points at a host that this service may not call',
  address: 'The URL points at a host that this service may not call',
  unanswered: 'The name of the host in the URL could not be looked up; try again later',
} as const

function refuse(reason: keyof typeof messages): Refusal {
  return { reason, message: messages[reason] }
}

function portOf(url: URL): number {
  if (url.port !== '') return Number(url.port)
  return url.protocol === 'https:' ? 443 : 80
}

export type Guard = {
  /** Why a URL may not be called, or undefined when it may: its shape, and every address its host stands for. */
  check(url: string): Promise<Refusal | undefined>
  /** For `net.connect` and all that is built on it: resolves, refuses, and answers with the addresses it judged. */
  lookup: LookupFunction
  permits(address: string): boolean
}

export type Refusal = { reason: keyof typeof messages; message: string }

export type GuardOptions = AddressOptions & {
  /** Ports of our own Postgres and Redis, closed on every host: a port is in the URL, so no name server can move it. */
  closedPorts?: readonly number[]
  /** In place of this machine's names and name servers. */
  resolve?: NameLookup
  /** How long the look-up of a name may take. Milliseconds. */
  lookupMs?: number
}

type Judged =
  | { addresses: ResolvedAddress[]; refusal?: undefined }
  | { refusal: Refusal; addresses?: undefined }

export type { ResolvedAddress }
