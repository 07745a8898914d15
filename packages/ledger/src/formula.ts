import type Big from 'big.js'
import { Decimal } from './micro.ts'

/**
 * Reads an arithmetic expression: numbers, names, `+ - * / ( )` and min, max, ceil, floor, round. Throws a FormulaFault
 * that says where it went wrong.
 */
export function readFormula(text: string): Formula {
  if (text.length > longest) throw new FormulaFault(`is longer than ${longest} characters`)
  const tokens = tokensOf(text)
  const names = new Set<string>()
  let at = 0
  let depth = 0

  const peek = () => tokens[at]
  const take = () => tokens[at++]
  const accept = (...wanted: string[]): string | undefined => {
    const token = peek()
    return token !== undefined && wanted.includes(token) ? take() : undefined
  }
  const need = (wanted: string) => {
    if (accept(wanted) === undefined) throw unexpected(peek(), `"${wanted}"`)
  }

  function sum(): Node {
    if (++depth > deepest) throw new FormulaFault(`is nested more than ${deepest} deep`)
    let left = product()
    for (let sign = accept('+', '-'); sign; sign = accept('+', '-')) {
      left = operation(sign === '+' ? (a, b) => a.plus(b) : (a, b) => a.minus(b), left, product())
    }
    depth--
    return left
  }

  function product(): Node {
    let left = factor()
    for (let sign = accept('*', '/'); sign; sign = accept('*', '/')) {
      left = operation(sign === '*' ? (a, b) => a.times(b) : divide, left, factor())
    }
    return left
  }

  function factor(): Node {
    const minuses = []
    while (accept('-')) minuses.push('-')
    const value = operand()
    return minuses.length % 2 === 0 ? value : (values) => value(values).times(-1)
  }

  function operand(): Node {
    const token = take()
    if (token === '(') {
      const inner = sum()
      need(')')
      return inner
    }
    if (token !== undefined && /^[\d.]/.test(token)) return constant(token)
    if (token === undefined || !/^[a-z_]/i.test(token)) throw unexpected(token, 'a number, a name or "("')
    const made = functions.get(token)
    if (made) return call(token, made)
    if (!/^(amount|units|input\.\w+)$/.test(token)) {
      throw new FormulaFault(`"${token}" is not known: there are amount, units, input.NAME and ${known}`)
    }
    names.add(token)
    return (values) => decimalOf(values[token])
  }

  function call(name: string, { least, most, compute }: FunctionDefinition): Node {
    need('(')
    const given = [sum()]
    while (accept(',')) given.push(sum())
    need(')')
    if (given.length < least || given.length > most) {
      throw new FormulaFault(`${name} takes ${least === most ? least : `${least} or more`} values`)
    }
    return (values) => compute(given.map((node) => node(values)))
  }

  const whole = sum()
  if (at < tokens.length) throw unexpected(peek(), 'an operator')
  return { names, evaluate: (values) => bounded(whole(values)) }
}

/** A formula cannot be read, or has no value: divided by zero, or too large. */
export class FormulaFault extends Error {}

function tokensOf(text: string): string[] {
  const tokens = text.match(/\d+(?:\.\d+)?|\.\d+|input\.\w+|[a-z_]\w*|[-+*/(),]|\S/gi) ?? []
  const strange = tokens.find((token) => !/^(?:[\w.]+|[-+*/(),])$/.test(token))
  if (strange !== undefined) throw new FormulaFault(`"${strange}" has no meaning here`)
  return tokens
}

function unexpected(token: string | undefined, wanted: string): FormulaFault {
  return new FormulaFault(
    token === undefined ? `ends where ${wanted} is missing` : `has "${token}" where ${wanted} must be`,
  )
}

function constant(token: string): Node {
  const value = new Decimal(token)
  return () => value
}

function operation(compute: (a: Big, b: Big) => Big, left: Node, right: Node): Node {
  return (values) => bounded(compute(left(values), right(values)))
}

function divide(a: Big, b: Big): Big {
  if (b.eq(0)) throw new FormulaFault('divides by zero')
  return a.div(b)
}

/** What an input leaves out counts as nothing, and a switch that is on as one. */
function decimalOf(value: number | string | boolean | undefined): Big {
  if (typeof value === 'boolean') return new Decimal(value ? 1 : 0)
  return new Decimal(value === undefined || value === '' ? 0 : String(value))
}

/** Keeps the digits of what is computed from growing without end. */
function bounded(value: Big): Big {
  if (value.abs().gt(largest)) throw new FormulaFault('is too large')
  return value.round(40, Decimal.roundHalfUp)
}

const floor = (value: Big) => {
  const whole = value.round(0, Decimal.roundDown)
  return whole.gt(value) ? whole.minus(1) : whole
}

const functions = new Map<string, FunctionDefinition>([
  ['min', { least: 2, most: 10, compute: (all) => all.reduce((a, b) => (b.lt(a) ? b : a)) }],
  ['max', { least: 2, most: 10, compute: (all) => all.reduce((a, b) => (b.gt(a) ? b : a)) }],
  ['floor', { least: 1, most: 1, compute: ([a = new Decimal(0)]) => floor(a) }],
  ['ceil', { least: 1, most: 1, compute: ([a = new Decimal(0)]) => floor(a.times(-1)).times(-1) }],
  ['round', { least: 1, most: 1, compute: ([a = new Decimal(0)]) => floor(a.plus('0.5')) }],
])
const known = [...functions.keys()].join(', ')

const longest = 500
const deepest = 32
const largest = new Decimal('1e30')

interface FunctionDefinition {
  least: number
  most: number
  compute: (values: Big[]) => Big
}

type Values = Readonly<Record<string, number | string | boolean | undefined>>
type Node = (values: Values) => Big

/** `names` are those that it reads. */
export interface Formula {
  names: ReadonlySet<string>
  /** Throws FormulaFault where it has no value. */
  evaluate(values: Values): Big
}
