/**
 * How many predictions to read next, where an answer may have megabytes: neighbours are alike, so as many as would have
 * filled the memory for them, but at most twice as many as before. `length` is that of all texts that were made of the
 * last `made`, which may be fewer than the `count` that were asked for.
 */
export function nextCount({ length, made, count }: Read, most: number): number {
  if (made === 0) return count
  const fit = Math.floor((textsLength * made) / length)
  return Math.min(Math.max(fit, 1), 2 * count, most)
}

/** To begin with. */
export const fewest = 8

/** Of what is in memory together. Characters. */
const textsLength = 4 * 1024 * 1024

interface Read {
  length: number
  made: number
  count: number
}
