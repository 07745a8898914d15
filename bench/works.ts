import type { Work } from './work.ts'
import { acceptWhilePaused, acceptWhileRunning } from './works/accept.ts'
import { cancelLatency } from './works/cancel-latency.ts'
import { life, lifeWithWebhooks } from './works/life.ts'
import { manyReaders } from './works/many-readers.ts'
import { manyRows } from './works/many-rows.ts'
import { manyWaiting } from './works/many-waiting.ts'
import { memory } from './works/memory.ts'
import { oneAtATime } from './works/one-at-a-time.ts'
import { overload } from './works/overload.ts'
import { webhookLatency } from './works/webhook-latency.ts'

/** Everything that is measured, in the order of the table. */
export const works: Work[] = [
  acceptWhileRunning,
  acceptWhilePaused,
  life,
  lifeWithWebhooks,
  oneAtATime,
  webhookLatency,
  cancelLatency,
  manyRows,
  manyWaiting,
  manyReaders,
  overload,
  memory,
]
