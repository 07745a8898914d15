import { nobody } from './nobody.ts'

/**
 * Whose turn it is among accounts that wait for the same: the turns go round them in the order of their ids, and each has
 * as many in a row as its weight is times the least one. Answers how many of `turns` each of these lines gets, and where
 * the round is after them. A line that has not `room` for all that is its account's leaves the rest to the others.
 *
 * Where the round is, is kept by who asks: workers that go round by themselves share the turns as one would.
 */
export function share<L extends Line>(
  lines: readonly L[],
  turns: number,
  { round, room = unlimited, draw = Math.random }: Sharing<L>,
): Shared<L> {
  const accounts = [...Map.groupBy(lines, ({ account }) => account).entries()]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([account, own]) => ({ account, own: own.toSorted((a, b) => a.turn - b.turn) }))
  const given = new Map<L, number>()
  let { at, left, least, seen } = round
  let spare = turns
  let idle = 0
  const first = accounts.findIndex(({ account }) => account > at || (account === at && left > 0))
  for (let n = Math.max(0, first); spare > 0 && idle < accounts.length; n = (n + 1) % accounts.length) {
    const next = accounts[n]
    if (!next) break
    const weight = next.own[0]?.weight ?? 1
    if (next.account !== at || left === 0) {
      // A round has ended where it begins anew.
      if (next.account <= at) [least, seen] = [seen, weight]
      else seen = Math.min(seen, weight)
      left = turnsInARow(weight, Math.min(least, seen), draw())
    }
    at = next.account
    const taken = give(next.own, Math.min(left, spare))
    spare -= taken
    left = spare === 0 ? left - taken : 0
    idle = taken === 0 ? idle + 1 : 0
  }
  return { given, spare, round: { at, left, least, seen } }

  /** The line of an account whose first one has waited longest goes first. */
  function give(own: L[], most: number): number {
    let taken = 0
    for (const line of own) {
      const count = Math.min(most - taken, room(line, given))
      if (count > 0) given.set(line, (given.get(line) ?? 0) + count)
      taken += count
    }
    return taken
  }
}

/** A round that begins with the account after `at`: with the first of all unless it is given. */
export const newRound = (at: string = nobody): Round => ({
  at,
  left: 0,
  least: Number.POSITIVE_INFINITY,
  seen: Number.POSITIVE_INFINITY,
})

const unlimited = () => Number.POSITIVE_INFINITY

/** What is not a whole number is so on average. */
const turnsInARow = (weight: number, least: number, draw: number): number =>
  Math.max(1, Math.floor(weight / Math.min(weight, least) + draw))

/** What waits of an account, in one order. */
export interface Line {
  account: string
  /** Of its first one, in seconds since 1970. */
  turn: number
  weight: number
}

/** Where the round of the turns is. */
export interface Round {
  /** The account that had the last turn, */
  at: string
  /** and has so many more in a row. */
  left: number
  /** The least weight of the round before, */
  least: number
  /** and of this one so far. */
  seen: number
}

interface Sharing<L> {
  round: Round
  /** How many more a line may have, beyond those that were given. */
  room?: (line: L, given: ReadonlyMap<L, number>) => number
  /** From 0 to 1. */
  draw?: () => number
}

interface Shared<L> {
  given: Map<L, number>
  /** Turns that nobody can take. */
  spare: number
  round: Round
}
