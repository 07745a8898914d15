import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

/** The one registry of this process. Metrics are made next to the code they count, with the functions below. */
export const registry = new Registry()

collectDefaultMetrics({ register: registry })

/** A number that only rises, by label values. */
export function counter<L extends string = never>(
  name: string,
  help: string,
  labelNames: L[] = [],
): Counter<L> {
  return new Counter({ name, help, labelNames, registers: [registry] })
}

/** A number that goes both ways. `collect` sets it when it is scraped, so that nothing has to keep it current. */
export function gauge<L extends string = never>(
  name: string,
  help: string,
  labelNames: L[] = [],
  collect?: (this: Gauge<L>) => void | Promise<void>,
): Gauge<L> {
  return new Gauge({ name, help, labelNames, registers: [registry], ...(collect && { collect }) })
}

/** Durations in seconds, from a millisecond to five minutes unless told otherwise. */
export function histogram<L extends string = never>(
  name: string,
  help: string,
  labelNames: L[] = [],
  buckets: number[] = durationBuckets,
): Histogram<L> {
  return new Histogram({ name, help, labelNames, buckets, registers: [registry] })
}

const durationBuckets = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300]
