import type { Work } from './work.ts'
import { acceptWhilePaused, acceptWhileRunning } from './works/accept.ts'
import { cancelLatency } from './works/cancel-latency.ts'
import { addedToChunk, addedToJson, addedToStream } from './works/gateway-added.ts'
import { gatewayMemory } from './works/gateway-memory.ts'
import { jsonRate, streamRate } from './works/gateway-rate.ts'
import { holds } from './works/holds.ts'
import { life, lifeWithWebhooks } from './works/life.ts'
import { manyReaders } from './works/many-readers.ts'
import { manyRows } from './works/many-rows.ts'
import { manyWaiting } from './works/many-waiting.ts'
import { memory } from './works/memory.ts'
import { oneAtATime } from './works/one-at-a-time.ts'
import { overload } from './works/overload.ts'
import { webhookLatency } from './works/webhook-latency.ts'

/** Everything that is measured, in the order of the tables. A suite that was done whole is kept in a file of its own. */
export const suites: Suite[] = [
  {
    name: 'predictions',
    suffix: '',
    works: [
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
    ],
  },
  { name: 'money', suffix: '-money', works: [holds] },
  {
    name: 'gateway',
    suffix: '-gateway',
    works: [addedToJson, addedToStream, addedToChunk, jsonRate, streamRate, gatewayMemory],
  },
]

/** Works of one kind. */
export interface Suite {
  /** What `--only` knows all of them by. */
  name: string
  /** What follows the day in the name of the file of its results. */
  suffix: string
  works: Work[]
}
