/**
 * Of so many runs that are about to be taken, how many are set aside for low and for normal; high has the rest, and what
 * one line cannot use falls to the others. Within a line the first one in is the first one out.
 *
 * `draw`, evenly from 0 to 1, decides who is rounded up: so ten turns are shared as six, three and one, be they taken
 * one at a time, by many workers, or together, and nobody has to keep count. A strict order would starve low under a
 * steady flood of high; an order by age alone would leave high behind whatever came before it.
 */
export function turnsOf(limit: number, draw = Math.random()): [low: number, normal: number] {
  const low = Math.floor(limit * share.low + draw)
  return [low, Math.floor(limit * (share.low + share.normal) + draw) - low]
}

/** Of the turns of a model, while every line has some to take. */
export const share = { high: 0.6, normal: 0.3, low: 0.1 } as const
