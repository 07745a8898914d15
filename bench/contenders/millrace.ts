import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { ensureFirstAccount } from '@millrace/accounts/accounts'
import { createKeyRing } from '@millrace/accounts/api-keys'
import { connect } from '@millrace/database/connect'
import { migrate } from '@millrace/database/migrate'
import { newApiKey } from '@millrace/keys/api-key'
import { freePort } from '@millrace/standalone/ports'
import { type Contender, concurrency } from '../contender.ts'
import { postMany } from '../post.ts'
import { startProcess } from '../processes.ts'

/** This service: one api, one worker and one dispatcher. */
export const millraceOnRedis = millrace('Millrace (Redis)', true)
export const millraceEmbedded = millrace('Millrace (embedded)', false)

function millrace(name: string, onRedis: boolean): Contender {
  return {
    name,
    async start(stores, { paused = false } = {}) {
      const { databaseUrl, drop } = await stores.fresh()
      await migrate(databaseUrl)
      const db = connect({ url: databaseUrl, max: 1, name: 'bench' })
      const masterKey = randomBytes(32).toString('base64url')
      const apiKey = newApiKey()
      await ensureFirstAccount(db, createKeyRing(masterKey), { apiKey, adminKey: newApiKey() })
      const folder = await mkdtemp(join(tmpdir(), 'millrace-bench-files-'))
      const [port, ...metricsPorts] = await Promise.all(Array.from({ length: 4 }, freePort))
      const url = `http://127.0.0.1:${port}`
      const env = {
        DATABASE_URL: databaseUrl,
        ...(onRedis && { REDIS_URL: stores.redisUrl }),
        MASTER_KEY: masterKey,
        PUBLIC_URL: url,
        HOST: '127.0.0.1',
        PORT: `${port}`,
        STORAGE_URL: pathToFileURL(join(folder, 'files')).href,
        MODELS_DIR: fileURLToPath(new URL('../models', import.meta.url)),
        MODELS: 'noop',
        CONCURRENCY: `${concurrency}`,
        OUTBOUND_LOOPBACK: 'true',
        LOG_LEVEL: 'warn',
        SUPERVISED: '1',
      }
      const apps = ['api', ...(paused ? [] : ['worker', 'dispatcher'])]
      const processes = await Promise.all(
        apps.map((app, n) =>
          startProcess(`apps/${app}/src/main.ts`, {
            env: { ...env, METRICS_PORT: `${metricsPorts[n]}` },
            readyUrl: `http://127.0.0.1:${metricsPorts[n]}/readyz`,
          }),
        ),
      )
      const request = (webhookUrl?: string) => ({
        url: `${url}/v1/predictions`,
        headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
        body: JSON.stringify({
          model: 'noop',
          input: { prompt: 'nothing much' },
          ...(webhookUrl && { webhook: { url: webhookUrl, events: ['started', 'completed'] } }),
        }),
      })
      return {
        request,
        load: (count, webhookUrl) => postMany(request(webhookUrl), count),
        async done() {
          const { rows } = await db.pool.query('select count(*)::integer as done from outcomes')
          return rows[0].done
        },
        async stop() {
          await Promise.all(processes.map((process) => process.stop()))
          await db.close()
          await drop()
          await rm(folder, { recursive: true, force: true })
        },
      }
    },
  }
}
