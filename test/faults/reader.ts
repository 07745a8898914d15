import { type Client, get, walk } from './load.ts'
import { repeat } from './repeat.ts'

/**
 * A client who only looks, whatever happens: at one of the newest predictions, and now and then at the beginning of the
 * list. So what the service shows is judged during every fault; seldom enough to slow nobody.
 */
export function startReader(client: Client): Reader {
  const patient = { ...client, timeoutMs: 5_000 }
  const looking = repeat(100, async () => {
    const newest = client.history.entries
      .slice(-200)
      .flatMap((entry) => (entry.is === 'create' && entry.id ? entry.id : []))
    if (newest.length > 0) await get(patient, client.random.pick(newest))
  })
  const walking = repeat(1_000, () => walk(patient, { pages: 4 }))
  return {
    async stop() {
      await Promise.all([looking.stop(), walking.stop()])
    },
  }
}

interface Reader {
  /** Waits for the answers that are under way. */
  stop(): Promise<void>
}
