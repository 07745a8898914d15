import { fillTemplate, fillUrl, templateFault } from '@millrace/models/template'
import { expect, test } from 'vitest'

const scope = {
  input: {
    prompt: 'a mill & a wheel',
    steps: 4,
    fine: false,
    none: null,
    size: { width: 2 },
    tags: ['a', 'b'],
  },
  body: {
    data: [{ url: 'u1', by: 'x' }, { url: 'u2', by: 'y' }, {}],
    'odd key': 7,
    out: { '9': { n: 1 }, '12': { n: 2 } },
  },
}

test.each([
  ['{{ input.steps }}', 4],
  ['{{input.fine}}', false],
  ['{{ input.none }}', null],
  ['{{ input.size }}', { width: 2 }],
  ['{{ body.data.0.url }}', 'u1'],
  ['{{ body.data[1].url }}', 'u2'],
  ['{{ body.data[-2].url }}', 'u2'],
  ['{{ body["odd key"] }}', 7],
  ['{{ body.data[*].url }}', ['u1', 'u2']],
  ['{{ body.out[*].n }}', [1, 2]],
  ['{{ body.out.*.n }}', [1, 2]],
  ['{{ body.nowhere[*].n }}', []],
  ['{{ input.absent }}', undefined],
  ['{{ input.prompt.length }}', undefined],
  ['{{ input.constructor.name }}', undefined],
  ['{{ input.__proto__ }}', undefined],
  ['{{ input.steps }} steps of {{ input.prompt }}', '4 steps of a mill & a wheel'],
  ['size {{ input.size }}, {{ input.absent }}{{ input.none }}!', 'size {"width":2}, !'],
  ['?q={{ input.prompt | url }}', '?q=a%20mill%20%26%20a%20wheel'],
  [
    '/view?f={{ body.data[*].url }}&by={{ body.data[*].by }}&s={{ input.steps }}',
    ['/view?f=u1&by=x&s=4', '/view?f=u2&by=y&s=4'],
  ],
  ['{{ input.tags }}', ['a', 'b']],
  ['no template', 'no template'],
])('%s is %o', (template, value) => {
  expect(fillTemplate(template, scope)).toEqual(value)
})

test('what is not there leaves out its key and its place in a list, and nothing else', () => {
  const template = {
    a: '{{ input.absent }}',
    b: { c: ['{{ input.absent }}', '{{ input.steps }}', 1, null] },
    d: 'x{{ input.absent }}',
  }
  expect(fillTemplate(template, scope)).toEqual({ b: { c: [4, 1, null] }, d: 'x' })
})

test('whatever is written into a url is percent-encoded', () => {
  expect(fillUrl('/a/{{ input.prompt }}?x={{ input.absent }}', scope)).toBe(
    '/a/a%20mill%20%26%20a%20wheel?x=',
  )
})

test('a value is not a template', () => {
  const own = { input: { prompt: '{{ input.secret }}', secret: 'hidden' } }
  expect(fillTemplate({ p: '{{ input.prompt }}', q: 'see {{ input.prompt }}' }, own)).toEqual({
    p: '{{ input.secret }}',
    q: 'see {{ input.secret }}',
  })
})

test.each([
  ['{{ input.x }}', undefined],
  [{ deep: ['{{ body.x[*].y | url }}'] }, undefined],
  ['{{ answer.x }}', '{{ answer.x }}: must start with input, body'],
  ['{{ input..x }}', expect.stringMatching(/is no path/)],
  ['{{ }}', expect.stringMatching(/is no path/)],
  ['{{ input.a + 1 }}', expect.stringMatching(/is no path/)],
  ['{{ input.x | upper }}', expect.stringMatching(/there is no "\| upper"/)],
  ['{{ input.x', expect.stringMatching(/without a }}/)],
])('the fault of %o is told', (template, fault) => {
  expect(templateFault(template, ['input', 'body'])).toEqual(fault)
})
