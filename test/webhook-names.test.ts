import { lookup } from 'node:dns/promises'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createPost } from '@millrace/dispatcher/post'
import { FetchFileError, fetchFile } from '@millrace/outbound/fetch-file'
import { createGuard, type Guard } from '@millrace/outbound/guard'
import { createNameLookup, UnansweredNameError } from '@millrace/outbound/name-lookup'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { callerOf, refusalOf } from './api-caller.ts'
import { startApiHere } from './api-here.ts'
import { givenAccount, givenPrediction } from './given-webhooks.ts'
import { startService } from './harness/service.ts'
import { until } from './harness/wait.ts'
import { type NameServer, startNameServer } from './name-server.ts'
import { openSending } from './sending-webhooks.ts'

let names: NameServer
let folder: string
beforeEach(async () => {
  names = await startNameServer()
  folder = await mkdtemp(join(tmpdir(), 'millrace-names-'))
})
afterEach(async () => {
  await names.close()
  await rm(folder, { recursive: true })
})

test('a name is what the hosts file says, then what the name servers say, then what the system says', async () => {
  const hostsFile = join(folder, 'hosts')
  await writeFile(hostsFile, '127.0.0.7\tlisted.test  Other.test # a comment\n::7 listed.test\nbroken line\n')
  const find = createNameLookup({ servers: names.servers, hostsFile })

  expect(await find('listed.test')).toEqual([
    { address: '127.0.0.7', family: 4 },
    { address: '::7', family: 6 },
  ])
  expect(await find('other.test.')).toEqual([{ address: '127.0.0.7', family: 4 }])
  expect(names.asked).toEqual([])

  expect(await find('sound.test')).toEqual([{ address: '127.0.0.1', family: 4 }])
  expect(names.asked).toEqual(['sound.test', 'sound.test'])

  await writeFile(hostsFile, '127.0.0.8 sound.test')
  expect(await find('sound.test')).toEqual([{ address: '127.0.0.8', family: 4 }])
  expect(await find('none-at-all.test')).toEqual([])
})

test('the system is asked for what no name server knows, without a hosts file too', async () => {
  const find = createNameLookup({ servers: names.servers, hostsFile: join(folder, 'none') })
  expect(await find('localhost')).toEqual(await lookup('localhost', { all: true }))
  expect(names.asked).toEqual(['localhost', 'localhost'])
})

test.each(['never-answered.test', 'broken-zone.test'])(
  '%s reads neither as open nor as closed',
  async (name) => {
    const find = createNameLookup({ servers: names.servers, withinMs: 200 })
    await expect(find(name)).rejects.toThrow(UnansweredNameError)
    const guard = guardBy({ withinMs: 200 })
    expect(await guard.check(`http://${name}/`)).toMatchObject({ reason: 'unanswered' })
    const fetched = fetchFile(
      guard,
      `http://${name}/`,
      { maxBytes: 10, timeoutMs: 5_000 },
      join(folder, 'file'),
    )
    await expect(fetched).rejects.toThrow(FetchFileError)
    await expect(fetched).rejects.toMatchObject({ reason: 'unreachable' })
  },
)

test('a look-up that never ends keeps no check waiting, and no request longer than its time-out', async () => {
  const resolve = () => new Promise<never>(() => {})
  const quick = createGuard({ allow: [], loopback: true, resolve, lookupMs: 100 })
  expect(await quick.check('http://hangs.test/')).toMatchObject({ reason: 'unanswered' })

  const patient = createGuard({ allow: [], loopback: true, resolve, lookupMs: 60_000 })
  const post = createPost({ guard: patient, timeoutMs: 100 })
  expect(await post.post('http://hangs.test/', {}, '{}')).toMatchObject({ kind: 'silent' })
  const limits = { maxBytes: 10, timeoutMs: 100 }
  const fetched = fetchFile(patient, 'http://hangs.test/', limits, join(folder, 'file'))
  await expect(fetched).rejects.toMatchObject({ reason: 'timeout' })
  await post.close()
})

test('while a hundred names are waited for, other names are found at once', async () => {
  const guard = guardBy()
  const slow = Array.from({ length: 100 }, (_, n) => guard.check(`http://never-${n}.test/`))
  let waited = true
  void Promise.race(slow).then(() => {
    waited = false
  })

  for (let n = 0; n < 20; n++) {
    expect(await guard.check(`http://sound-${n}.test/`)).toBeUndefined()
    expect(await guard.check('http://localhost/')).toBeUndefined()
  }
  expect(await guard.check('http://inside-1.test/')).toMatchObject({ reason: 'address' })

  expect(waited).toBe(true)
  expect(await Promise.all(slow)).toHaveLength(100)
})

test("a tenant's dead name server delays no other tenant's webhooks, and its breaker opens", async () => {
  const now = await openSending()
  const [dead, sound] = [await givenAccount(now.db), await givenAccount(now.db)]
  const receiver = await now.receiving()
  const { port } = new URL(receiver.url)
  const first = await givenPrediction(now.db, dead, { url: 'http://never-up.test/' })
  for (let count = 0; count < 40; count++) {
    await givenPrediction(now.db, dead, { url: 'http://never-up.test/' })
    await givenPrediction(now.db, sound, { url: `http://sound.test:${port}/` })
  }
  const dispatch = now.sending({ guard: guardBy({ withinMs: 1_000 }) })

  await receiver.received(40, 3_000)

  const [refused] = await now.state(first, (one) => one?.attempts.length === 1)
  expect(refused?.attempts[0]).toMatchObject({
    status_code: null,
    error: 'The name of the host could not be looked up',
  })
  expect(new Set(receiver.requests.map(({ headers }) => headers.host))).toEqual(
    new Set([`sound.test:${port}`]),
  )

  const failures = `select from deliveries, jsonb_each(attempts) as made(nth, a) where a ->> 'error' is not null`
  await until(async () => ((await now.db.pool.query(failures)).rowCount ?? 0) >= 16, {
    what: 'ten failures and those that were under way with them',
  })
  await givenPrediction(now.db, sound, { url: `http://sound.test:${port}/` })
  dispatch.wake()
  await receiver.received(41)
  const sending = now.db.kysely.selectFrom('deliveries').where('state', '=', 'sending')
  expect((await sending.where('account_id', '=', dead).selectAll().execute()).length).toBeLessThan(3)
  await now.close()
})

test('a name that cannot be looked up holds up nobody else who subscribes, and its own caller not for long', async () => {
  const service = await startService({ queue: 'postgres', workers: 0, dispatchers: 0 })
  const api = await startApiHere(service, { guard: guardBy({ withinMs: 2_000 }) })
  const call = callerOf(api.url, service.apiKey)
  const create = (host: string) =>
    call('POST /v1/predictions', { body: { model: 'echo', input: {}, webhook: `http://${host}/` } })
  const ended: string[] = []
  const slow = Array.from({ length: 40 }, async (_, n) => {
    const answer = await create(`never-${n}.test`)
    ended.push('slow')
    return answer
  })
  const sound = Array.from({ length: 20 }, async (_, n) => {
    const { status } = await create(`sound-${n}.test`)
    ended.push('sound')
    return status
  })

  expect(new Set(await Promise.all(sound))).toEqual(new Set([201]))
  expect(new Set(ended)).toEqual(new Set(['sound']))
  for (const answer of await Promise.all(slow)) {
    expect(refusalOf(answer)).toEqual({ status: 400, id: 'INVALID_WEBHOOK_URL', fields: ['webhook.url'] })
  }
  await api.close()
  await service.stop()
})

function guardBy({ withinMs = 3_000 } = {}): Guard {
  const resolve = createNameLookup({ servers: names.servers, withinMs })
  return createGuard({ allow: [], loopback: true, resolve })
}
