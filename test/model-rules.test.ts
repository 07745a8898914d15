import { allowsModel, coversRules, matchesGlob } from '@millrace/contract/model-rules'
import fc from 'fast-check'
import { expect, test } from 'vitest'

const model = { namespace: 'acme/painter', aliases: ['painter'], service: { type: 'native' as const } }
const partner = { namespace: 'far/llm', aliases: [], service: { type: 'partner' as const } }

test.each([
  ['doodle', 'doodle', true],
  ['doodle', 'doodles', false],
  ['*', '', true],
  ['*', 'acme/painter', true],
  ['acme/*', 'acme/painter', true],
  ['acme/*', 'other/painter', false],
  ['*/painter', 'acme/painter', true],
  ['a*c*e', 'abcde', true],
  ['a*c*e', 'abcd', false],
  ['ab*ba', 'aba', false],
  ['a**b', 'ab', true],
  ['a.c', 'abc', false],
  ['[a-z]*', 'doodle', false],
])('%j and %j: %j', (pattern, text, expected) => {
  expect(matchesGlob(pattern, text)).toBe(expected)
})

test('a glob matches what an expression made of it does', () => {
  const pieces = fc.array(fc.constantFrom('a', 'b', '*', '.'), { maxLength: 8 }).map((all) => all.join(''))
  const texts = fc.array(fc.constantFrom('a', 'b', '.'), { maxLength: 10 }).map((all) => all.join(''))
  fc.assert(
    fc.property(pieces, texts, (pattern, text) => {
      const expression = new RegExp(`^${pattern.replaceAll('.', '\\.').replaceAll('*', '.*')}$`)
      expect(matchesGlob(pattern, text)).toBe(expression.test(text))
    }),
    { numRuns: 5_000 },
  )
})

test.each([
  [{}, true],
  [{ allow: ['acme/*'] }, true],
  [{ allow: ['painter'] }, true],
  [{ allow: [] }, false],
  [{ allow: ['*'], deny: ['painter'] }, false],
  [{ allow: ['service:native'] }, true],
  [{ deny: ['service:native'] }, false],
  [{ allow: ['service:partner'] }, false],
])('rules %j let a model of this installation be used: %j', (rules, expected) => {
  expect(allowsModel([rules], model)).toBe(expected)
  expect(allowsModel([undefined, null, rules], model)).toBe(expected)
  expect(allowsModel([{}, { deny: ['*'] }], model)).toBe(false)
})

test('partners are refused by one word', () => {
  expect(allowsModel([{ deny: ['service:partner'] }], partner)).toBe(false)
  expect(allowsModel([{ deny: ['service:partner'] }], model)).toBe(true)
})

test('rules that cover others allow all that those do', () => {
  const patterns = fc.array(
    fc.oneof(fc.constantFrom('service:partner', 'service:native'), fc.stringMatching(/^[ab*]{1,4}$/)),
    { maxLength: 3 },
  )
  const rules = fc.option(fc.record({ allow: patterns, deny: patterns }, { requiredKeys: [] }))
  const models = fc.record({
    namespace: fc.stringMatching(/^[ab]{1,5}$/),
    aliases: fc.constant([]),
    service: fc.record({ type: fc.constantFrom('native' as const, 'partner' as const) }),
  })
  let covered = 0
  fc.assert(
    fc.property(rules, rules, fc.array(models, { minLength: 5, maxLength: 20 }), (own, given, all) => {
      if (!coversRules(own, given)) return
      covered += 1
      for (const one of all) if (allowsModel([given], one)) expect(allowsModel([own], one)).toBe(true)
    }),
    { numRuns: 20_000 },
  )
  expect(covered).toBeGreaterThan(200)
})
