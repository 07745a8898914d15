import type { Facts } from '../facts.ts'

/** Promises in words, each with what breaks it. */
export type Promises = Record<string, (facts: Facts) => Iterable<string>>
