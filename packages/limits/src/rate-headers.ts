import type { Level } from './open-rates.ts'
import { type Measure, policyName, type Rate } from './rates.ts'

/**
 * What a reply tells of the rates that its request was counted in: `RateLimit-Policy` and `RateLimit` of the IETF's draft
 * (httpapi-ratelimit-headers), each a list in which a policy is called the same.
 */
export function rateHeaders(levels: readonly Level[]): Header[] {
  const policies = levels.map(({ rate }) => wordsOf(rate).policy)
  const states = levels.map(
    (level) => `${wordsOf(level.rate).name};r=${remaining(level)};t=${wholeSeconds(level.leavesMs)}`,
  )
  return [
    ['ratelimit-policy', policies.join(', ')],
    ['ratelimit', states.join(', ')],
  ]
}

/** The same in the words of Skytells' clients: of the requests, and of tokens, the rate that is nearest to its end. */
export function skytellsRateHeaders(levels: readonly Level[]): Header[] {
  const requests = nearest(levels, 'requests')
  const prompts = nearest(levels, 'tokens_in')
  const answers = nearest(levels, 'tokens_out')
  return [
    ['x-skytells-ratelimit-limit-requests', limitText(requests)],
    ['x-skytells-ratelimit-remaining-requests', remainingText(requests)],
    ['x-skytells-ratelimit-window', String((requests ?? levels[0])?.rate.seconds ?? '-')],
    ['x-skytells-ratelimit-limit-tokens-in', limitText(prompts)],
    ['x-skytells-ratelimit-remaining-tokens-in', remainingText(prompts)],
    ['x-skytells-ratelimit-limit-tokens-out', limitText(answers)],
    ['x-skytells-ratelimit-remaining-tokens-out', remainingText(answers)],
  ]
}

/** The same as OpenAI says it, as far as it is limited; its tokens are those of prompts. */
export function openaiRateHeaders(levels: readonly Level[]): Header[] {
  const headers: Header[] = []
  for (const [measure, name] of [
    ['requests', 'requests'],
    ['tokens_in', 'tokens'],
  ] as const) {
    const level = nearest(levels, measure)
    if (!level) continue
    headers.push(
      [`x-ratelimit-limit-${name}`, limitText(level)],
      [`x-ratelimit-remaining-${name}`, remainingText(level)],
      [`x-ratelimit-reset-${name}`, `${wholeSeconds(level.leavesMs)}s`],
    )
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
  let found: Level | undefined
  for (const level of levels)
    if (level.rate.measure === measure && (!found || remaining(level) < remaining(found))) found = level
  return found
}

function remaining({ rate, used }: Level): number {
  return Math.max(0, rate.limit - used)
}

const limitText = (level: Level | undefined): string => (level ? String(level.rate.limit) : '-')
const remainingText = (level: Level | undefined): string => (level ? String(remaining(level)) : '-')

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

type Header = [name: string, value: string]

interface Words {
  name: string
  policy: string
}
