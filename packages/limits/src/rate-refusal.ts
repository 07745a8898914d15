import type { Level } from './open-rates.ts'
import type { Rate } from './rates.ts'

/** Why an ask was refused, in words, and in how many whole seconds the same one would be taken if nobody else asks. */
export function refusalOf(levels: readonly Level[]): RateRefusal {
  const over = levels.filter(({ fitsMs }) => fitsMs > 0)
  const [last = levels[0]] = over.toSorted((a, b) => b.fitsMs - a.fitsMs)
  if (!last) return { message: 'Too many requests.', seconds: 1, never: false }
  const seconds = Math.max(1, Math.ceil(last.fitsMs / 1000))
  const never = over.find(
    ({ rate, cost }) => rate.measure !== 'requests' && rate.limit > 0 && cost > rate.limit,
  )
  if (never) return { message: tooLarge(never), seconds, never: true }
  return {
    message: `${limitText(last.rate)} ${countText(last)} Try again in ${seconds} s.`,
    seconds,
    never: false,
  }
}

function limitText({ owner, part, measure, limit, seconds }: Rate): string {
  const what = words[measure]
  const whose = owner === 'key' ? 'This key' : 'This account'
  const where =
    part === '' ? '' : part.startsWith('model ') ? ` for the models ${part.slice(6)}` : ` for ${part}`
  return `${whose} may ${what(limit)} in ${seconds} s${where}.`
}

const words = {
  requests: (count: number) => `make ${count} requests`,
  tokens_in: (count: number) => `send ${count} tokens of prompts`,
  tokens_out: (count: number) => `get ${count} tokens of answers`,
}

function countText({ rate, used, cost }: Level): string {
  if (rate.measure === 'requests') return `It has made ${used}.`
  return `It has used ${used}, and this request takes about ${cost}.`
}

function tooLarge({ rate, cost }: Level): string {
  return `${limitText(rate)} This request alone has about ${cost}.`
}

interface RateRefusal {
  message: string
  seconds: number
  /** It alone is above the limit: no wait helps. */
  never: boolean
}
