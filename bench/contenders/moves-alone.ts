import { connect } from '@millrace/database/connect'
import { newId } from '@millrace/database/ids'
import { migrate } from '@millrace/database/migrate'
import { accept, type Draft } from '@millrace/lifecycle/accept'
import { claim } from '@millrace/lifecycle/claim'
import { settle } from '@millrace/lifecycle/settle'
import type { Contender } from '../contender.ts'

/** The floor: the same rows, written by the same statements in a tight loop; no HTTP, no queue, no worker, no model. */
export const movesAlone: Contender = {
  name: 'our SQL alone',
  async start(stores) {
    const { databaseUrl, drop } = await stores.fresh()
    await migrate(databaseUrl)
    const db = connect({ url: databaseUrl, max: loops, name: 'bench' })
    const lifecycle = { db, links: { publicUrl: '', file: () => '' } }
    const accountId = newId()
    let done = 0

    async function moveOn(model: string): Promise<void> {
      const drafts = Array.from({ length: batch }, () => draftOf(accountId, model))
      await accept(lifecycle, drafts)
      const claims = await claim(lifecycle, {
        model,
        limit: batch,
        worker: 'bench',
        leaseSeconds: 15,
        warm: true,
      })
      const ended = await settle(
        lifecycle,
        claims.map(({ id, attempt }) => ({ id, attempt, verb: 'succeed', output, files: [] })),
      )
      done += ended.length
    }

    return {
      async load(count) {
        let left = Math.ceil(count / batch)
        const loop = async (_: unknown, nth: number) => {
          while (left-- > 0) await moveOn(`noop-${nth}`)
        }
        await Promise.all(Array.from({ length: loops }, loop))
      },
      done: async () => done,
      async stop() {
        await db.close()
        await drop()
      },
    }
  },
}

/** A prediction that asks for nothing much. */
export const draftOf = (accountId: string, model: string): Draft => ({
  id: newId(),
  accountId,
  model,
  modelType: 'text',
  pool: 'default',
  stream: false,
  source: 'api',
  input: { prompt: 'nothing much' },
  sealedInput: null,
  webhook: null,
  tags: {},
  files: [],
  timeouts: { start: 600, run: 600 },
  priority: 'normal',
  runAt: null,
  expiresIn: null,
  autoFallback: true,
  retention: null,
  createdAt: new Date(),
  idempotency: null,
})

/** And what comes of it. */
export const output = '{"prompt":"nothing much"}'
const batch = 50
const loops = 4
