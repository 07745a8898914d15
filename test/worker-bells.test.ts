import { expect, test } from 'vitest'
import { startTestWorker } from './given-worker.ts'

test.for(['redis', 'postgres'] as const)(
  'a worker without a free slot leaves the bells to others, and nobody has to ring again (%s)',
  async (kind) => {
    const { create, startAnother, stop } = await startTestWorker(kind, { CONCURRENCY: '1' })
    await create('echo', { delay_ms: 60_000 }).then(({ reaches }) => reaches('processing'))
    const other = await startAnother()

    // No dispatcher is there to ring for what a bell was lost on.
    for (let nth = 0; nth < 8; nth++) {
      const { reaches } = await create('echo', { nth })
      await reaches('succeeded')
    }

    expect(other.log()).toContain('"model":"echo"')
    await other.stop()
    await stop()
  },
)
