import { readFile } from 'node:fs/promises'
import { freePort } from '@millrace/standalone/ports'
import pg from 'pg'
import type { Contender } from '../contender.ts'
import { postMany } from '../post.ts'
import { startProcess } from '../processes.ts'

/** What a good engineer builds from the guides: see baselines/plain. */
export const plain: Contender = {
  name: 'plain service',
  async start(stores, { paused = false } = {}) {
    const { databaseUrl, drop } = await stores.fresh()
    const db = new pg.Client({ connectionString: databaseUrl })
    await db.connect()
    await db.query(await readFile(new URL('../baselines/plain/schema.sql', import.meta.url), 'utf8'))
    const apiKey = 'a-key-of-the-bench'
    const apps = paused ? ['api'] : ['api', 'worker']
    const ports = await Promise.all(apps.map(freePort))
    const env = { DATABASE_URL: databaseUrl, REDIS_URL: stores.redisUrl, API_KEY: apiKey }
    const processes = await Promise.all(
      apps.map((app, n) =>
        startProcess(`bench/baselines/plain/${app}.ts`, {
          env: { ...env, PORT: `${ports[n]}` },
          readyUrl: `http://127.0.0.1:${ports[n]}/readyz`,
        }),
      ),
    )
    const request = (webhookUrl?: string) => ({
      url: `http://127.0.0.1:${ports[0]}/v1/predictions`,
      headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
      body: JSON.stringify({
        model: 'noop',
        input: { prompt: 'nothing much' },
        ...(webhookUrl && { webhook: { url: webhookUrl } }),
      }),
    })
    return {
      request,
      load: (count, webhookUrl) => postMany(request(webhookUrl), count),
      async done() {
        const { rows } = await db.query(
          'select count(*)::integer as done from predictions where completed_at is not null',
        )
        return rows[0].done
      },
      async stop() {
        await Promise.all(processes.map((process) => process.stop()))
        await db.end()
        await drop()
      },
    }
  },
}
