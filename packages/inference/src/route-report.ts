import type { InferenceErrorId } from './fault.ts'

/** What became of a request, for its row in the log; written while it runs. */
export interface RouteReport {
  tries: Try[]
  /** Who answered: set when the first chunk is there, or all of it. */
  served?: { model: string; host: string }
  /** Fallbacks that could not stand in. */
  passedOver: { model: string; reason: string }[]
}

/** One host that was asked. */
export interface Try {
  model: string
  host: string
  /** Until it failed, or until its answer was over. */
  ms: number
  /** Until the first chunk was there, or all of it. */
  firstMs?: number
  /** Nobody wanted the answer any more. */
  abandoned?: boolean
  fault?: { errorId: InferenceErrorId; message: string; cause?: unknown }
  /** Lines of its stream that could not be read. */
  skipped?: number
}

/** An empty one. */
export function newRouteReport(): RouteReport {
  return { tries: [], passedOver: [] }
}
