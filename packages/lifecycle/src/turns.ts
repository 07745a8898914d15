/**
 * Of so many runs that are about to be taken, how many are set aside for low and for normal; high has the rest, and what
 * one line cannot use falls to the others. Within a line the first one in is the first one out.
 *
 * `draw`, evenly from 0 to 1, decides who is rounded up: so ten turns are shared as six, three and one, be they taken
 * one at a time, by many workers, or together, and nobody has to keep count. A strict order would starve low under a
 * steady flood of high; an order by age alone would leave high behind whatever came before it.
 */
export function turnsOf(limit: number, draw = Math.random()): [low: number, normal: number] {
  const low = Math.floor((limit * share.low) / 10 + draw)
  return [low, Math.floor((limit * (share.low + share.normal)) / 10 + draw) - low]
}

/** Of ten turns of a model, while every line has some to take. */
export const share = { high: 6, normal: 3, low: 1 } as const
