/** The 50th, 95th and 99th percentile of some latencies. */
export function percentiles(latencies: number[]): { p50: number; p95: number; p99: number } {
  const sorted = latencies.toSorted((a, b) => a - b)
  const at = (part: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99) }
}

/** How long one call takes, in milliseconds. */
export async function timeOf(act: () => Promise<unknown>): Promise<number> {
  const begun = performance.now()
  await act()
  return performance.now() - begun
}

/** Measures so often, one after the other. The first ones load and compile, and do not count. */
export async function repeated(
  { times, warmUp }: { times: number; warmUp: number },
  measure: () => Promise<number>,
): Promise<ReturnType<typeof percentiles>> {
  const latencies: number[] = []
  for (let n = 0; n < times; n++) latencies.push(await measure())
  return percentiles(latencies.slice(warmUp))
}
