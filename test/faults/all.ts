import type { Scenario } from './scenario.ts'
import { clockSkew } from './scenarios/clock-skew.ts'
import { endlessAnswers } from './scenarios/endless-answers.ts'
import { hangingReceiver } from './scenarios/hanging-receiver.ts'
import { killWorker } from './scenarios/kill-worker.ts'
import { receivers } from './scenarios/receivers.ts'
import { redisOutages } from './scenarios/redis-outages.ts'
import { secrets } from './scenarios/secrets.ts'
import { stoppedWorker } from './scenarios/stopped-worker.ts'

/** Every fault, in the order of docs/guarantees.md. */
export const scenarios: Scenario[] = [
  killWorker,
  receivers,
  endlessAnswers,
  hangingReceiver,
  secrets,
  ...redisOutages,
  stoppedWorker,
  clockSkew,
]
