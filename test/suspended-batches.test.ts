import { createBatch } from '@millrace/batches/batches'
import { fromTypeId, toTypeId } from '@millrace/database/ids'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { callerOf } from './api-caller.ts'
import { givenAccount } from './given-accounts.ts'
import { type Service, startService } from './harness/service.ts'
import { until } from './harness/wait.ts'

let service: Service
beforeAll(async () => {
  service = await startService({ queue: 'redis', workers: 1, dispatchers: 0 })
})
afterAll(() => service.stop())

const line = (custom_id: string, input: object) => ({
  custom_id,
  method: 'POST',
  url: '/v1/predictions',
  body: { model: 'echo', input },
})

describe('a batch of an account that is suspended', () => {
  const message = 'The account was suspended, so what had not been done by then was cancelled or not run.'
  const errors = {
    object: 'list',
    data: [{ code: 'account_suspended', message, param: null, line: null }],
  }

  test('is cancelled, keeps what it did, and says why', async () => {
    const account = await givenSuspendable()
    const slow = { delay_ms: 60_000 }
    const requests = [line('quick', { n: 1 }), line('slow', slow), line('slower', slow)]
    const { body: made } = await account.call('POST /v1/batches', { body: { requests } })
    await until(
      async () => (await account.call(`GET /v1/batches/${made.id}`)).body.request_counts.completed === 1,
      { what: 'the first answer', within: 20_000 },
    )
    await account.suspend()

    const batch = await account.endOf(made.id)

    expect(batch).toMatchObject({ status: 'cancelled', request_counts: { completed: 1, failed: 2 }, errors })
    expect((await account.linesOf(batch.error_file_id)).map(({ error }) => error.code)).toEqual(
      Array(2).fill('cancelled'),
    )
  }, 90_000)

  test('before anything of it was run says so of every line', async () => {
    const account = await givenSuspendable()
    const file = await account.call('POST /v1/files', {
      raw: [line('a', {}), line('b', {})].map((one) => JSON.stringify(one)).join('\n'),
    })
    await account.suspend()
    const made = await createBatch(service.db, {
      accountId: account.accountId,
      endpoint: null,
      inputFileId: fromTypeId('file', file.body.id) ?? '',
      completionWindow: '24h',
      metadata: {},
    })

    const batch = await account.endOf(toTypeId('batch', made?.row.id ?? ''))

    expect(batch).toMatchObject({ status: 'cancelled', request_counts: { completed: 0, failed: 2 }, errors })
    expect(await account.linesOf(batch.error_file_id)).toMatchObject(
      ['a', 'b'].map((custom_id) => ({
        custom_id,
        response: null,
        error: { code: 'account_suspended', message },
      })),
    )
  }, 90_000)

  async function givenSuspendable() {
    const { accountId, apiKey } = await givenAccount(service)
    const own = callerOf(service.url, apiKey)
    const suspendedAt = (at: string) =>
      service.db.pool.query(`update accounts set suspended_at = ${at} where id = $1`, [accountId])
    const unended = 'select from batches where account_id = $1 and ended_at is null'
    return {
      accountId,
      call: own,
      suspend: () => suspendedAt('clock_timestamp()'),
      /** The batch when it has ended, shown to the account, which is back. */
      async endOf(id: string) {
        await until(async () => (await service.db.pool.query(unended, [accountId])).rowCount === 0, {
          what: 'the end of the batch',
          within: 60_000,
        })
        await suspendedAt('null')
        const reply = () => own(`GET /v1/batches/${id}`)
        return until(async () => ((await reply()).status === 200 ? (await reply()).body : undefined), {
          what: 'the account to be back',
        })
      },
      async linesOf(fileId: string) {
        const { text } = await own(`GET /v1/files/${fileId}/content`)
        return text
          .trim()
          .split('\n')
          .map((one) => JSON.parse(one))
      },
    }
  }
})
