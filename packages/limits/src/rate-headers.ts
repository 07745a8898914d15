import type { Level } from './open-rates.ts'
import { type Measure, policyName, type Rate } from './rates.ts'

/**
 * What a reply tells of the rates that its request was counted in: `RateLimit-Policy` and `RateLimit` of the IETF's draft
 * (httpapi-ratelimit-headers), each a list in which a policy is called the same.
 */
export function rateHeaders(levels: readonly Level[]): Record<string, string> {
  const policies = levels.map(({ rate }) => wordsOf(rate).policy)
  const states = levels.map(
    (level) => `${wordsOf(level.rate).name};r=${remaining(level)};t=${wholeSeconds(level.leavesMs)}`,
  )
  return { 'ratelimit-policy': policies.join(', '), ratelimit: states.join(', ') }
}

/** The same in the words of Skytells' clients: of the requests, and of tokens, the rate that is nearest to its end. */
export function skytellsRateHeaders(levels: readonly Level[]): Record<string, string> {
  const requests = nearest(levels, 'requests')
  const tokens = (measure: Measure, name: string) => {
    const level = nearest(levels, measure)
    return {
      [`${prefix}-limit-tokens-${name}`]: level ? String(level.rate.limit) : '-',
      [`${prefix}-remaining-tokens-${name}`]: level ? String(remaining(level)) : '-',
    }
  }
  return {
    [`${prefix}-limit-requests`]: requests ? String(requests.rate.limit) : '-',
    [`${prefix}-remaining-requests`]: requests ? String(remaining(requests)) : '-',
    [`${prefix}-window`]: String((requests ?? levels[0])?.rate.seconds ?? '-'),
    ...tokens('tokens_in', 'in'),
    ...tokens('tokens_out', 'out'),
  }
}

/** The same as OpenAI says it, as far as it is limited; its tokens are those of prompts. */
export function openaiRateHeaders(levels: readonly Level[]): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const [measure, name] of [
    ['requests', 'requests'],
    ['tokens_in', 'tokens'],
  ] as const) {
    const level = nearest(levels, measure)
    if (!level) continue
    headers[`x-ratelimit-limit-${name}`] = String(level.rate.limit)
    headers[`x-ratelimit-remaining-${name}`] = String(remaining(level))
    headers[`x-ratelimit-reset-${name}`] = `${wholeSeconds(level.leavesMs)}s`
  }
  return headers
}

/** What is said of a rate whatever was used of it: put together once. */
function wordsOf(rate: Rate): Words {
  const known = said.get(rate)
  if (known) return known
  const name = quoted(policyName(rate))
  const words = { name, policy: `${name};q=${rate.limit};w=${rate.seconds}${unitOf(rate)}` }
  said.set(rate, words)
  return words
}

const said = new WeakMap<Rate, Words>()

function nearest(levels: readonly Level[], measure: Measure): Level | undefined {
  return levels
    .filter(({ rate }) => rate.measure === measure)
    .toSorted((a, b) => remaining(a) - remaining(b))
    .at(0)
}

function remaining({ rate, used }: Level): number {
  return Math.max(0, rate.limit - used)
}

function wholeSeconds(ms: number): number {
  return Math.max(0, Math.ceil(ms / 1000))
}

/** The draft's own units know no tokens; without one it would be requests. */
function unitOf({ measure }: Rate): string {
  return measure === 'requests' ? '' : ';qu="tokens"'
}

/** A string of structured fields: printable ASCII. */
function quoted(name: string): string {
  return `"${name.replaceAll(/[^\x20-\x7e]/g, '?').replaceAll(/["\\]/g, '\\$&')}"`
}

const prefix = 'x-skytells-ratelimit'

interface Words {
  name: string
  policy: string
}
