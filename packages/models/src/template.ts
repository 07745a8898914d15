/**
 * Templates of the kind `http`: JSON in which a string may hold `{{ path }}`.
 *
 * - A string that is one `{{ path }}` and nothing else becomes the value there, with its type: a number stays a number. Where
 *   there is nothing, the key of an object, or the item of a list, is left out.
 * - In a longer string the value is written into the text: nothing where there is none, JSON where it is an object.
 * - A path starts at a name of its place (`input`, `body`, …) and goes on with `.key`, `.0` or `[0]` (`[-1]` is the last), and
 *   `["any key"]`. `[*]` goes on into all items of a list, or all values of an object, and gives the list of what is
 *   found. In a longer string it makes a list of texts, one for each; several such lists go in step.
 * - `{{ path | url }}` writes a value so that it fits into a URL.
 */
export function fillTemplate(template: unknown, scope: Scope): unknown {
  if (typeof template === 'string') return fillText(template, scope)
  if (typeof template !== 'object' || template === null) return template
  if (Array.isArray(template)) {
    return template.map((item) => fillTemplate(item, scope)).filter((item) => item !== undefined)
  }
  const filled = Object.entries(template).map(([key, item]) => [key, fillTemplate(item, scope)] as const)
  return Object.fromEntries(filled.filter(([, value]) => value !== undefined))
}

/** The same for a string that is a URL: whatever is written into it is percent-encoded. */
export function fillUrl(template: string, scope: Scope): unknown {
  return fillText(template, scope, true)
}

/** What is wrong with a template, or nothing. `roots` are the names at which a path may start in its place. */
export function templateFault(template: unknown, roots: readonly string[]): string | undefined {
  if (typeof template === 'string') return textFault(template, roots)
  if (typeof template !== 'object' || template === null) return undefined
  for (const item of Object.values(template)) {
    const fault = templateFault(item, roots)
    if (fault) return fault
  }
  return undefined
}

function textFault(text: string, roots: readonly string[]): string | undefined {
  for (const part of partsOf(text)) {
    if (typeof part === 'string') {
      if (part.includes('{{')) return `"${part}": a {{ without a }}`
      continue
    }
    const [root] = part.steps
    if (part.fault) return `{{${part.source}}}: ${part.fault}`
    if (typeof root !== 'string' || !roots.includes(root))
      return `{{${part.source}}}: must start with ${roots.join(', ')}`
  }
  return undefined
}

function fillText(text: string, scope: Scope, encode = false): unknown {
  const parts = partsOf(text)
  const [only] = parts
  if (parts.length === 1 && only !== undefined && typeof only !== 'string' && !only.url)
    return valueAt(only, scope)
  const values = parts.map((part) => (typeof part === 'string' ? part : written(part, scope, encode)))
  const lists = values.filter((value) => Array.isArray(value))
  if (lists.length === 0) return values.join('')
  const count = Math.min(...lists.map((list) => list.length))
  return Array.from({ length: count }, (_, index) =>
    values.map((value) => (Array.isArray(value) ? value[index] : value)).join(''),
  )
}

function written(path: Path, scope: Scope, encode: boolean): string | string[] {
  const write = (value: unknown) => (encode || path.url ? encodeURIComponent(textOf(value)) : textOf(value))
  const value = valueAt(path, scope)
  return path.steps.includes(all) && Array.isArray(value) ? value.map(write) : write(value)
}

function textOf(value: unknown): string {
  if (value === undefined || value === null) return ''
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

function valueAt({ steps }: Path, scope: Scope): unknown {
  let found: unknown[] = [scope]
  for (const step of steps) found = found.flatMap((value) => within(value, step))
  return steps.includes(all) ? found : found[0]
}

/** None where there is nothing, so that lists hold only what is there. */
function within(value: unknown, step: Step): unknown[] {
  if (typeof value !== 'object' || value === null) return []
  if (step === all) return Object.values(value)
  if (Array.isArray(value)) {
    const item: unknown = value.at(Number(step))
    return /^-?\d+$/.test(step) && item !== undefined ? [item] : []
  }
  const item: unknown = Object.hasOwn(value, step) ? Reflect.get(value, step) : undefined
  return item === undefined ? [] : [item]
}

/** A text as what stands between templates, and their paths. */
function partsOf(text: string): (string | Path)[] {
  return text
    .split(/(\{\{.*?\}\})/s)
    .filter((part) => part !== '')
    .map((part) => (/^\{\{.*\}\}$/s.test(part) ? pathOf(part.slice(2, -2)) : part))
}

function pathOf(source: string): Path {
  const [, path = '', filter] = /^\s*(.*?)\s*(?:\|\s*(\w+)\s*)?$/s.exec(source) ?? []
  const steps: Step[] = []
  let at = 0
  for (const match of path.matchAll(stepShape)) {
    if (match.index !== at) break
    at += match[0].length
    const [, word, key, index] = match
    steps.push(index === '*' || word === '*' ? all : (word ?? key ?? index ?? ''))
  }
  const whole = at === path.length && steps.length > 0 && !path.startsWith('.')
  const known = filter === undefined || filter === 'url'
  const fault = whole
    ? known
      ? undefined
      : `there is no "| ${filter}"`
    : 'is no path such as input.prompt or body.data[0].url'
  return { source, steps, url: filter === 'url', fault }
}

const stepShape = /(?:^|\.)([\p{L}\p{N}_$-]+|\*)|\["([^"]*)"\]|\[(-?\d+|\*)\]/gu

/** Every item of a list, every value of an object. */
const all = Symbol('all')

type Step = string | typeof all

interface Path {
  source: string
  steps: Step[]
  url: boolean
  fault: string | undefined
}

/** What paths may start at. */
export type Scope = Record<string, unknown>
