import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Database } from '@millrace/database/connect'
import { expect, onTestFinished, test } from 'vitest'
import { startTestWorker } from './given-worker.ts'
import { until } from './harness/wait.ts'

test.each(['redis', 'postgres'] as const)(
  'a prediction that kills its process three times fails, and costs nobody else an attempt or any time (%s)',
  async (queue) => {
    const folder = await givenModels()
    const service = await startTestWorker(queue, { MODELS_DIR: folder })
    onTestFinished(() => service.stop())
    const crashes = join(folder, 'crashes')
    const culprit = await service.create('fuse', { folder: crashes })
    const begun = (attempt: number) =>
      until(async () => (await readdir(folder)).includes(`crashes-${attempt}-begun`), {
        within: 20_000,
        what: `attempt ${attempt} to begin`,
      })

    const others: unknown[] = []
    for (const attempt of [1, 2, 3]) {
      await begun(attempt)
      const steady = await service.create('steady', {})
      others.push(await steady.reaches('succeeded', 'failed'))
      // Another run of its model, under way when it dies again: since its first death it has a process to itself.
      const beside =
        attempt === 1 ? undefined : await service.create('fuse', { until: `${crashes}-${attempt}-over` })
      await beside?.reaches('processing')

      expect((await culprit.find()).completed_at).toBeNull()
      await writeFile(`${crashes}-${attempt}-now`, '')
      const died = async () => (await crashCount(service.db, culprit.id)) === attempt
      await (attempt === 3 ? culprit.reaches('failed') : until(died, { what: `death ${attempt}` }))

      await writeFile(`${crashes}-${attempt}-over`, '')
      if (beside) others.push(await beside.reaches('succeeded', 'failed'))
    }

    const { error_id, attempt } = await culprit.reaches('failed')
    expect({ error_id, attempt }).toEqual({ error_id: 'WORKER_LOST', attempt: 3 })
    expect(others).toEqual(
      Array.from({ length: 5 }, () => expect.objectContaining({ status: 'succeeded', attempt: 1 })),
    )
  },
  90_000,
)

async function crashCount(db: Database, id: string): Promise<number> {
  const { rows } = await db.pool.query('select crashes from runs where prediction_id = $1', [id])
  return rows[0]?.crashes
}

/** Two models. `fuse` can be told to kill its own process once a file says so, and notes each time it begins. */
async function givenModels(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-crashes-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const about = `type: 'text', concurrency: 4, input_schema: { type: 'object' }`
  await writeFile(
    join(folder, 'steady.mjs'),
    `export default { namespace: 'steady', ${about}, run: () => 'done' }`,
  )
  await writeFile(
    join(folder, 'fuse.mjs'),
    `import { existsSync, writeFileSync } from 'node:fs'
    export default {
      namespace: 'fuse', ${about},
      async run({ folder: crashes, until }) {
        const seen = async (file) => {
          while (!existsSync(file)) await new Promise((resolve) => setTimeout(resolve, 20))
        }
        if (until) return seen(until).then(() => 'done')
        const attempt = [1, 2, 3].find((n) => !existsSync(crashes + '-' + n + '-begun'))
        writeFileSync(crashes + '-' + attempt + '-begun', '')
        await seen(crashes + '-' + attempt + '-now')
        process.kill(process.pid, 'SIGKILL')
      },
    }`,
  )
  return folder
}
