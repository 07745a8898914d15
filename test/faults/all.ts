import type { Scenario } from './scenario.ts'
import { cancelAnywhere } from './scenarios/cancel-anywhere.ts'
import { clockSkew } from './scenarios/clock-skew.ts'
import { crashModel } from './scenarios/crash-model.ts'
import { endlessAnswers } from './scenarios/endless-answers.ts'
import { fullDisk } from './scenarios/full-disk.ts'
import { hangingReceiver } from './scenarios/hanging-receiver.ts'
import { killApi } from './scenarios/kill-api.ts'
import { killBeforeRing } from './scenarios/kill-before-ring.ts'
import { killDispatcher } from './scenarios/kill-dispatcher.ts'
import { killEverything } from './scenarios/kill-everything.ts'
import { killWorker } from './scenarios/kill-worker.ts'
import { lostAnswers } from './scenarios/lost-answers.ts'
import { postgresRestarts } from './scenarios/postgres-restarts.ts'
import { receivers } from './scenarios/receivers.ts'
import { redisOutages } from './scenarios/redis-outages.ts'
import { rollingRestart } from './scenarios/rolling-restart.ts'
import { sameKey } from './scenarios/same-key.ts'
import { secrets } from './scenarios/secrets.ts'
import { slowPostgres } from './scenarios/slow-postgres.ts'
import { stalledPostgres } from './scenarios/stalled-postgres.ts'
import { stoppedWorker } from './scenarios/stopped-worker.ts'
import { termWorker } from './scenarios/term-worker.ts'
import { walkWhileWriting } from './scenarios/walk-while-writing.ts'
import { workerCutFromQueue } from './scenarios/worker-cut-from-queue.ts'

/** Every fault, in the order of docs/guarantees.md. */
export const scenarios: Scenario[] = [
  killApi,
  killBeforeRing,
  killWorker,
  killDispatcher,
  killEverything,
  termWorker,
  rollingRestart,
  crashModel,
  receivers,
  endlessAnswers,
  hangingReceiver,
  secrets,
  ...redisOutages,
  workerCutFromQueue,
  postgresRestarts,
  ...slowPostgres,
  stalledPostgres,
  lostAnswers,
  fullDisk,
  stoppedWorker,
  clockSkew,
  cancelAnywhere,
  sameKey,
  walkWhileWriting,
]
