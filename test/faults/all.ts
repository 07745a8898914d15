import type { Scenario } from './scenario.ts'
import { killWorker } from './scenarios/kill-worker.ts'
import { receivers } from './scenarios/receivers.ts'

/** Every fault, in the order of docs/guarantees.md. */
export const scenarios: Scenario[] = [killWorker, receivers]
