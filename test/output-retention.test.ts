import { afterAll, beforeAll, expect, test } from 'vitest'
import { callerOf } from './api-caller.ts'
import { type Service, startService } from './harness/service.ts'
import { untilEnded } from './until-ended.ts'

let service: Service
beforeAll(async () => {
  service = await startService({ queue: 'redis', dispatchers: 0, env: { RETENTION_FILES_DAYS: '2' } })
})
afterAll(() => service.stop())

test('the files of an output are kept for RETENTION_FILES_DAYS, and the prediction says until when', async () => {
  const call = callerOf(service.url, service.apiKey)
  const { body } = await call('POST /v1/predictions', {
    body: { model: 'doodle', input: { prompt: 'a mill' } },
  })

  const { completed_at, metadata } = await untilEnded(call, body.id)

  expect(daysBetween(completed_at, metadata.expires_at)).toBe(2)
  const { rows } = await service.db.pool.query<{ days: number }>(
    `select round(extract(epoch from expires_at - created_at) / 86400)::int as days from files where purpose = 'output'`,
  )
  expect(rows).toEqual([{ days: 2 }])
})

function daysBetween(from: string | null, to: string | null): number {
  return (Date.parse(to ?? '') - Date.parse(from ?? '')) / 86_400_000
}
