import { expect, onTestFinished, test } from 'vitest'
import { type ApiReply, callerOf, refusalOf } from './api-caller.ts'
import { startProxy } from './faults/tcp-proxy.ts'
import { freshDatabase } from './harness/database.ts'
import { startService } from './harness/service.ts'
import { until } from './harness/wait.ts'

test('while as many creates wait as can, more are refused in their dialect and nothing of the others is lost', {
  timeout: 90_000,
}, async () => {
  const database = await freshDatabase()
  const url = new URL(database.url)
  const proxy = await startProxy({ host: url.hostname, port: Number(url.port) })
  url.port = `${proxy.port}`
  const service = await startService({
    queue: 'redis',
    database,
    env: { DATABASE_URL: url.href },
    workers: 0,
    dispatchers: 0,
  })
  onTestFinished(async () => {
    proxy.set('none')
    await service.stop()
    await proxy.close()
  })
  const call = callerOf(service.url, service.apiKey)
  const body = { model: 'echo', input: { text: 'hello' } }
  const replies: ApiReply[] = []
  const create = async () => void replies.push(await call('POST /v1/predictions', { body }))
  const refusals = () => replies.filter(({ status }) => status !== 201)

  let inSkillBoss: ApiReply | undefined
  for (let tries = 0; tries < 6 && !inSkillBoss; tries++) {
    // The key is remembered for a second, in which a slow machine may not get 500 of them in.
    await create()
    proxy.set('black-hole')
    const flood = Array.from({ length: 600 }, create)
    await until(() => refusals().length > 0, { within: 3_000, what: 'one to be refused' }).catch(() => {})
    if (refusals().length > 0)
      inSkillBoss = await call('POST /v1/run', { body: { model: 'echo', inputs: body.input } })
    proxy.set('none')
    await Promise.all(flood)
  }

  expect(inSkillBoss).toMatchObject({
    status: 503,
    body: { error: { type: 'server_error', code: 'service_error', error_id: 'SERVICE_UNAVAILABLE' } },
  })
  for (const reply of refusals()) {
    expect(refusalOf(reply)).toEqual({ status: 503, id: 'SERVICE_UNAVAILABLE', fields: [] })
    expect(reply.headers.get('retry-after')).toBe('1')
    expect(reply.body.error.request_id).toBe(reply.headers.get('x-request-id'))
  }
  const { rows } = await database.db.pool.query('select count(*)::integer as runs from runs')
  expect(rows).toEqual([{ runs: replies.length - refusals().length }])
})
