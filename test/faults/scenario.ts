import type { Shape, World } from './world.ts'

/** One fault: how it is done to a world, and what must come out beyond the promises that always hold. */
export interface Scenario {
  /** A short name in kebab-case, for `--only` and for the history's folder. */
  name: string
  /** What is done, in the words of docs/guarantees.md. */
  fault: string
  /** What must come out of it, beyond the promises. */
  outcome: string
  /** Where the fault needs one queue; both unless told otherwise. */
  queues?: readonly QueueKind[]
  /** Where the queue has no part in it: on which the run of `npm test` tries it. The long run tries it on both. */
  shortOn?: QueueKind
  /** A world of its own, other than the usual one. */
  shape?: Shape
  /** The same in the long run alone, where `npm test` has no time for it. */
  longShape?: Shape
  /** Too long, or too much for the machine, to be part of `npm test`; says why. */
  longOnly?: string
  /**
   * Does the fault and waits until it is over: the world is as healthy afterwards as it was before. Throws when the
   * outcome is not the promised one. Answers what was measured.
   */
  run(world: World, size: Size): Promise<Figures>
}

export type QueueKind = 'redis' | 'postgres'

/** `predictions` is how many to send at least; `long` is the run of an hour, else the one of `npm test`. */
export interface Size {
  predictions: number
  long: boolean
}

/** What a scenario measured, by name; times in milliseconds. */
export type Figures = Record<string, number>
