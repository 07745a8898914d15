import { parseArgs } from 'node:util'
import { scenarios } from './all.ts'
import type { QueueKind, Scenario } from './scenario.ts'

/** What the command line asks for. Throws an error whose message says what cannot be used and what could. */
export function readWanted(args: string[]): Wanted {
  const { values } = parseArgs({ args, options })
  const number = (name: 'seed' | 'predictions' | 'minutes', fallback: number) => {
    const given = values[name] === undefined ? fallback : Number(values[name])
    if (!(given >= 0)) throw new Error(`--${name} ${values[name]} is no number.`)
    return given
  }
  return {
    pairs: pairsOf(values.only, values.queue),
    again: values.only !== undefined,
    seed: number('seed', Date.now() % 1_000_000),
    predictions: number('predictions', 5000),
    minutes: number('minutes', 75),
    fresh: values.fresh ?? false,
  }
}

const options = {
  only: { type: 'string' },
  queue: { type: 'string' },
  seed: { type: 'string' },
  predictions: { type: 'string' },
  minutes: { type: 'string' },
  fresh: { type: 'boolean' },
} as const

const queues: readonly QueueKind[] = ['redis', 'postgres']

function pairsOf(only: string | undefined, wantedQueue: string | undefined): [Scenario, QueueKind][] {
  const names = only?.split(',').map((name) => name.trim())
  for (const name of names ?? []) {
    if (scenarios.some((scenario) => scenario.name === name)) continue
    throw new Error(`No fault is called "${name}". There are:\n${listed(scenarios.map((one) => one.name))}`)
  }
  if (wantedQueue !== undefined && !queues.some((queue) => queue === wantedQueue)) {
    throw new Error(`No queue is called "${wantedQueue}". There are:\n${listed(queues)}`)
  }
  const pairs = scenarios
    .filter(({ name }) => names?.includes(name) ?? true)
    .flatMap((scenario) =>
      (scenario.queues ?? queues)
        .filter((queue) => wantedQueue === undefined || queue === wantedQueue)
        .map((queue): [Scenario, QueueKind] => [scenario, queue]),
    )
  if (pairs.length === 0) throw new Error(`${only} does not happen on the queue "${wantedQueue}".`)
  return pairs
}

function listed(names: readonly string[]): string {
  return names.map((name) => `  ${name}`).join('\n')
}

interface Wanted {
  /** What to play, in order. */
  pairs: [Scenario, QueueKind][]
  /** Also what has passed before. */
  again: boolean
  seed: number
  predictions: number
  /** After so long nothing more is begun. */
  minutes: number
  /** Forgets what has passed before. */
  fresh: boolean
}
