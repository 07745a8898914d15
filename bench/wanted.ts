import { parseArgs } from 'node:util'
import type { Size, Work } from './work.ts'
import { suites } from './works.ts'

/** What the command line asks for. Throws an error whose message says what cannot be used and what could. */
export function readWanted(args: string[]): Wanted {
  const { values } = parseArgs({ args, options })
  const number = (name: 'rounds' | 'seconds' | 'count' | 'rows' | 'requests', fallback: number) => {
    const given = values[name] === undefined ? fallback : Number(values[name])
    if (!(given > 0)) throw new Error(`--${name} ${values[name]} is no number above 0.`)
    return given
  }
  return {
    works: worksOf(values.only?.split(',')),
    against: values.against?.split(',').map((part) => part.toLowerCase()),
    profile: values.profile,
    rounds: number('rounds', 3),
    size: {
      seconds: number('seconds', 10),
      count: number('count', 10_000),
      rows: number('rows', 1_000_000),
      requests: number('requests', 100_000),
    },
  }
}

const options = {
  only: { type: 'string' },
  against: { type: 'string' },
  rounds: { type: 'string' },
  seconds: { type: 'string' },
  count: { type: 'string' },
  rows: { type: 'string' },
  requests: { type: 'string' },
  profile: { type: 'string' },
} as const

function worksOf(names: string[] | undefined): Work[] {
  const known = suites.flatMap(({ name, works }) => [name, ...works.map((work) => work.name)])
  const unknown = names?.find((name) => !known.includes(name))
  if (unknown !== undefined)
    throw new Error(
      `Nothing is called "${unknown}". There are:\n${known.map((name) => `  ${name}`).join('\n')}`,
    )
  const isNamed = (name: string) => names?.includes(name) ?? true
  return suites.flatMap((suite) => suite.works.filter(({ name }) => isNamed(suite.name) || isNamed(name)))
}

interface Wanted {
  /** In the order of the tables. */
  works: Work[]
  /** Parts of the names of the contenders that take part, in lower case; all of them without. */
  against: string[] | undefined
  /** The folder that keeps a CPU profile of every process and what each statement cost. */
  profile: string | undefined
  rounds: number
  size: Size
}
