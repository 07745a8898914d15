import { readFile } from 'node:fs/promises'
import { predictionErrorIds } from '@millrace/contract/errors'
import { units } from '@millrace/contract/pricing'
import { estimateOf } from '@millrace/ledger/estimate'
import { readFormula } from '@millrace/ledger/formula'
import { asCredits, asMicros } from '@millrace/ledger/micro'
import { chargeOf, costOf, endingCharge, type Price, priceOf, type Usage } from '@millrace/ledger/price'
import { readUsage } from '@millrace/ledger/read-usage'
import { describeSettings } from '@millrace/models/description'
import { statedPricing } from '@millrace/models/stated-pricing'
import fc from 'fast-check'
import { expect, test } from 'vitest'

const page = await readFile(new URL('../docs/billing.md', import.meta.url), 'utf8')
const examples = rowsUnder('### Examples')
const outcomes = rowsUnder('## What is charged')
const terms = { creditsPerUsd: 1 }
const asked = (input: Record<string, unknown>) => ({ input, timeouts: { run: 600 }, model: {} })

test.each(examples)('the example of docs/billing.md: %s for %s times %s, used %s', (...cells) => {
  const [pricing = '', given = '', multiplier, used = '', held, charged] = cells
  const input = JSON.parse(given)
  const price = priceOf(statedPricing.parse(JSON.parse(pricing)), input, {
    ...terms,
    multiplier: Number(multiplier),
  })
  const hold = price ? estimateOf(price, asked(input)) : 0

  expect(asCredits(hold)).toBe(Number(held))
  expect(price ? asCredits(chargeOf(price, JSON.parse(used), hold)) : 0).toBe(Number(charged))
})

test.each(outcomes)(
  'the outcome of docs/billing.md: %s (%s %s)',
  (how, status = '', errorId = '', usual = '', stated = '') => {
    const price: Price = { unit: 'second', rate: '100' }
    const ended = {
      status,
      errorId: errorId || null,
      seconds:
        how.includes('nobody counted') || how.includes('not begin') || how.includes('before it begins')
          ? null
          : 4,
    }
    const meant: Record<string, number> = {
      nothing: 0,
      'what was held': 1000,
      'what was used': 400,
      'the time used': 400,
    }

    expect(endingCharge(price, ended, 1000)).toBe(meant[usual])
    expect(endingCharge({ ...price, charged_when: ['run_timeout', 'cancelled'] }, ended, 1000)).toBe(
      meant[stated],
    )
  },
)

test('docs/billing.md has every way in which a prediction ends, and every unit', () => {
  expect(
    outcomes
      .map(([, , errorId]) => errorId)
      .filter(Boolean)
      .sort(),
  ).toEqual([...predictionErrorIds].sort())
  const told = rowsUnder('multiplied first and rounded once').flatMap(([names = '']) => names.split(', '))
  expect(told.sort()).toEqual([...units].sort())
})

test('whatever is used, a charge is a whole number of micros between nothing and what was held', () => {
  const anyUsage = fc.dictionary(fc.constantFrom(...units, 'input_tokens', 'output_tokens'), fc.double())
  const anyPricing = fc.record({
    amount: fc.double({ min: 0, max: 1000, noNaN: true }),
    unit: fc.constantFrom(...units),
    per: fc.constantFrom(1, 1000, 1_000_000),
  })
  fc.assert(
    fc.property(anyPricing, anyUsage, fc.nat(1_000_000_000), (pricing, usage, hold) => {
      const price = priceOf(statedPricing.parse(pricing), {}, terms)
      if (!price) return
      const charge = chargeOf(price, usage as Usage, hold)
      expect(Number.isSafeInteger(charge) && charge >= 0 && charge <= hold).toBe(true)
    }),
  )
})

test('prices are multiplied first and rounded once, half up', () => {
  const price = (amount: number, unit: 'page' | 'minute' = 'page') =>
    priceOf(statedPricing.parse({ amount, unit }), {}, terms)
  const cost = (found: Price | null, usage: Usage) => found && costOf(found, usage)

  expect(cost(price(0.0000005), { page: 1 })).toBe(1)
  expect(cost(price(0.00000049), { page: 1 })).toBe(0)
  expect(cost(price(0.0000001), { page: 35 })).toBe(4)
  expect(cost(price(1.1), { page: 3 })).toBe(3_300_000)
  expect(cost(price(0.0000015, 'minute'), { second: 20 })).toBe(1)
  expect(asMicros(0.1 + 0.2)).toBe(300_000)
})

const faults: [object, string][] = [
  [{ unit: 'banana' }, 'Invalid option'],
  [{ unit: 'page', ammount: 1 }, 'is not a field'],
  [{ unit: 'page', formula: 'units *' }, 'ends where a number, a name or "(" is missing'],
  [{ unit: 'page', formula: 'process.exit()' }, 'is not known'],
  [{ unit: 'page', formula: 'units; amount' }, '";" has no meaning here'],
  [{ unit: 'page', formula: `${'('.repeat(40)}1${')'.repeat(40)}` }, 'is nested more than 32 deep'],
  [{ unit: 'page', formula: 'min(1)' }, 'min takes 2 or more values'],
  [{ unit: 'page', formula: 'units * input.pages' }, 'input.pages is no number of the input'],
  [{ unit: 'page', formula: 'units * input.title' }, 'input.title is no number of the input'],
  [{ unit: 'page', charged_when: ['cancelled'] }, 'needs a unit of time'],
  [{ unit: 'page', input_amount: 1 }, 'must be token'],
  [
    { unit: 'page', criterias: [{ field: 'qualty', value: 1, billable_price: 1 }] },
    'is no field of the input',
  ],
]
test.each(faults)('a file with the price %j is refused, and its author told why', (pricing, words) => {
  const stated = {
    namespace: 'priced',
    type: 'text',
    pricing: { amount: 1, ...pricing },
    input_schema: { type: 'object', properties: { title: { type: 'string' }, count: { type: 'integer' } } },
    provider: { kind: 'command', command: ['cat'] },
  }
  expect(() => describeSettings('/models/priced.yaml', stated)).toThrow(words)
})

test('a formula counts as written, whatever its author tries', () => {
  const value = (formula: string, values = {}) => readFormula(formula).evaluate(values).toNumber()

  expect(value('1 + 2 * 3 - 4 / 8')).toBe(6.5)
  expect(value('-(2 - 5) * --2')).toBe(6)
  expect(value('ceil(units / 10) * 0.1 + floor(-0.5) + round(2.5)', { units: 21 })).toBe(2.3)
  expect(
    value('max(min(units, 5), amount, input.extra)', { units: 9, amount: '2', 'input.extra': true }),
  ).toBe(5)
  expect(value('0.1 + 0.2')).toBe(0.3)
  expect(() => value('1 / (units - 1)', { units: 1 })).toThrow('divides by zero')
  expect(() => value(`${'9'.repeat(20)} * ${'9'.repeat(20)}`)).toThrow('is too large')
})

test('what a model or a host tells of its use is taken as far as it is a number that prices know', () => {
  expect(
    readUsage({ page: 3, image: -1, minute: Number.NaN, token: '5', predict_time: 2, input_token_count: 7 }),
  ).toEqual({
    page: 3,
    input_tokens: 7,
  })
  expect(readUsage(null)).toEqual({})
})

/** The cells of the first table after a line of the page, without their backticks. */
function rowsUnder(mark: string): string[][] {
  const [, rest = ''] = page.split(mark)
  const [, table = ''] = /\n(\|[\s\S]*?)\n\n/.exec(rest) ?? []
  return table
    .split('\n')
    .slice(2)
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim().replaceAll('`', '')),
    )
}
