import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { callerOf } from './api-caller.ts'
import { listenToRedis, type Secrets, secretsIn } from './faults/leaks.ts'
import { givenKeyWith } from './given-accounts.ts'
import { startService } from './harness/service.ts'
import { untilEnded } from './until-ended.ts'

test.each(['redis', 'postgres'] as const)(
  'no key and no secret is in the database, the logs, the metrics or the queue on %s',
  async (queue) => {
    const service = await startService({ queue, env: { LOG_LEVEL: 'trace' } })
    const { apiKey, adminKey, masterKey } = service
    const scopes = [
      'keys:write',
      'keys:read',
      'predictions:write',
      'predictions:read',
      'webhooks:write',
    ] as const
    const mine = await givenKeyWith(service, { scopes: [...scopes, 'inference:write'] })
    const secrets: Secrets = { apiKey, adminKey, masterKey, 'the key that is used': mine }
    const { REDIS_URL: redisUrl } = service.environment
    const redis = redisUrl === undefined ? undefined : await listenToRedis(redisUrl, secrets)
    const call = callerOf(service.url, mine)

    const { body: made } = await call('POST /v1/keys', { body: { name: 'made', limits: { requests: 5 } } })
    const { body: rotated } = await call(`POST /v1/keys/${made.id}/rotate`, { body: {} })
    const { body: webhook } = await call('POST /v1/webhooks', { body: { url: 'http://127.0.0.1:9/' } })
    const { body: signing } = await call(`GET /v1/webhooks/${webhook.id}/secret`)
    const program = new URL('../apps/api/src/admin.ts', import.meta.url).pathname
    const { stdout } = await promisify(execFile)(process.execPath, [program, 'keys', 'create'], {
      env: service.environment,
    })
    Object.assign(secrets, {
      'a key that was made': made.key,
      'a key that was rotated': rotated.key,
      'a signing secret': signing.secret.replace('whsec_', ''),
      'a key from the command line': stdout.split('\n')[1],
    })
    expect(Object.values(secrets).map((secret) => secret.length > 30)).toEqual(Array(8).fill(true))

    // What goes well, what is refused, and what is broken.
    const { body: prediction } = await call('POST /v1/predictions', { body: { model: 'echo', input: {} } })
    await untilEnded(call, prediction.id)
    await call('POST /v1/chat/completions', {
      body: { model: 'parrot', messages: [{ role: 'user', content: 'x' }] },
    })
    for (const key of Object.values(secrets)) {
      const other = callerOf(service.url)
      await other('GET /v1/admin/audit', { headers: { 'x-api-key': key } })
      await other('POST /v1/predictions', { headers: { authorization: `Bearer ${key}` }, raw: '{' })
      await other('GET /v1/predictions/none', { headers: { authorization: `Basic ${key}` } })
    }
    await call(`PATCH /v1/keys/${made.id}`, { body: { name: 'renamed' } })
    await call(`DELETE /v1/keys/${made.id}`)

    expect(await secretsInTables()).toEqual({})
    expect(redis?.found() ?? []).toEqual([])
    for (const one of service.processes) {
      const metrics = await (await fetch(`${one.healthUrl}/metrics`)).text()
      expect(metrics).toContain('# HELP')
      expect([one.app, secretsIn(metrics, secrets), secretsIn(one.log(), secrets)]).toEqual([one.app, [], []])
    }
    redis?.stop()
    await service.stop()

    /** By table, of all there are, the queue's too. */
    async function secretsInTables(): Promise<Record<string, string[]>> {
      const { pool } = service.db
      const { rows: tables } = await pool.query<{ name: string }>(
        `select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname in ('public', 'bullmq')`,
      )
      expect(tables.map(({ name }) => name)).toEqual(
        expect.arrayContaining(['public.api_keys', 'public.audit_log']),
      )
      const found: Record<string, string[]> = {}
      for (const { name } of tables) {
        const { rows } = await pool.query<{ row: string }>(`select t::text as row from ${name} t`)
        const names = secretsIn(rows.map(({ row }) => row).join('\n'), secrets)
        if (names.length > 0) found[name] = names
      }
      return found
    }
  },
  120_000,
)

test('a secret that is there is found', () => {
  const row = `(1,"{""key"": ""${'s'.repeat(40)}""}")`
  expect(secretsIn(row, { planted: 's'.repeat(40) })).toEqual(['planted'])
})
