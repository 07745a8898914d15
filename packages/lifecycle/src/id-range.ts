/**
 * The lowest and highest of some ids. Every multi-id statement on a partitioned table bounds `id` by them, so that it
 * prunes partitions (measured with 50 rows: 2–3 ms with the bounds, 32–68 ms without, at 30–365 partitions).
 */
export function rangeOf(ids: string[]): [low: string, high: string] {
  const sorted = ids.toSorted()
  const low = sorted[0]
  const high = sorted.at(-1)
  if (low === undefined || high === undefined) throw new RangeError('no ids')
  return [low, high]
}
