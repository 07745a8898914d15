import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ApiCaller, callerOf, refusalOf } from './api-caller.ts'
import { type Service, startService } from './harness/service.ts'
import { until } from './harness/wait.ts'

let service: Service
let call: ApiCaller
let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-reload-'))
  await save('turning.mjs', turning(1))
  service = await startService({
    queue: 'redis',
    dispatchers: 0,
    env: { MODELS_DIR: folder, RELOAD_TEST_TOKEN: 'set' },
  })
  call = callerOf(service.url, service.apiKey)
}, 60_000)
afterAll(async () => {
  await service.stop()
  await rm(folder, { recursive: true })
})

const model = (
  namespace: string,
  run: string,
  more = '',
) => `export default { namespace: '${namespace}', type: 'text',
  concurrency: 4, input_schema: { type: 'object' }, ${more} run: ${run} }`

const turning = (state: number) =>
  model('turning', `({ ms = 5 }) => new Promise((resolve) => setTimeout(() => resolve('${state}'), ms))`)

/** As an editor or a deployment does it: the file is never half there. */
async function save(name: string, text: string): Promise<void> {
  await writeFile(join(folder, `.${name}.new`), text)
  await rename(join(folder, `.${name}.new`), join(folder, name))
}

async function run(namespace: string, input: object = {}) {
  const { body } = await call('POST /v1/predictions', { body: { model: namespace, input, await: true } })
  return body
}

const versionOf = async (slug: string): Promise<string> => (await call(`GET /v1/models/${slug}`)).body.version

const patiently = { within: 20_000 }

test('under load every prediction succeeds while the file changes, later ones on the newest state', async () => {
  const before = await versionOf('turning')
  const { body: long } = await call('POST /v1/predictions', {
    body: { model: 'turning', input: { ms: 6_000 } },
  })
  const longNow = async () => (await call(`GET /v1/predictions/${long.id}`)).body
  await until(async () => (await longNow()).status === 'processing', { ...patiently, what: 'the long run' })

  let seen = 1
  let loading = true
  const made: { floor: number; id: string; output: string; status: string; version: string }[] = []
  async function keepCreating(): Promise<void> {
    while (loading) {
      const floor = seen
      const { id, output, status, metadata } = await run('turning')
      made.push({ id, floor, output, status, version: metadata.model_version })
      seen = Math.max(seen, Number(output))
    }
  }
  const creating = Promise.all([1, 2, 3, 4].map(keepCreating))
  const versions = [before]
  for (const state of [2, 3, 4]) {
    await save('turning.mjs', turning(state))
    await until(() => seen === state, { ...patiently, what: `the state ${state}` })
    versions.push(await until(async () => newOf(await versionOf('turning')), { what: 'its version' }))
  }
  const onTheNewest = made.length
  await until(() => made.length > onTheNewest + 20, { ...patiently, what: 'some more' })
  loading = false
  await creating

  function newOf(version: string): string | false {
    return !versions.includes(version) && version
  }
  expect(made.filter(({ status }) => status !== 'succeeded')).toEqual([])
  expect(made.filter(({ output, floor }) => Number(output) < floor)).toEqual([])
  expect(new Set(made.map(({ output }) => output))).toEqual(new Set(['1', '2', '3', '4']))
  expect([...new Set(made.map(({ version }) => version))].sort()).toEqual(versions.sort())
  expect(made.slice(onTheNewest + 8).every(({ output }) => output === '4')).toBe(true)
  const ended = await until(async () => ((await longNow()).completed_at ? longNow() : false), {
    ...patiently,
    what: 'the long run to end',
  })
  expect(ended).toMatchObject({ status: 'succeeded', output: '1', metadata: { attempts: 1 } })
}, 120_000)

test('a new file is a model at once, and one that is gone is none', async () => {
  expect(refusalOf(await call('GET /v1/models/fresh'))).toMatchObject({ id: 'MODEL_NOT_FOUND' })
  await save('fresh.mjs', model('fresh', `() => 'here'`))
  await until(async () => (await call('GET /v1/models/fresh')).status === 200, { what: 'the model' })
  expect(await run('fresh')).toMatchObject({ status: 'succeeded', output: 'here' })

  await rm(join(folder, 'fresh.mjs'))
  await until(async () => (await call('GET /v1/models/fresh')).status === 404, { what: 'its end' })
})

test('a file that became bad is named in both logs, with its line, and goes on as it was', async () => {
  await save('shaky.mjs', model('shaky', `() => 'steady'`))
  await until(async () => (await call('GET /v1/models/shaky')).status === 200, { what: 'the model' })
  expect(await run('shaky'), 'the worker has read it as well').toMatchObject({ output: 'steady' })
  await save('shaky.mjs', 'export default {\n {')

  const told = (log: string) => /"path":"[^"]+shaky\.mjs","line":2,/.test(log)
  await until(() => service.processes.every(({ log }) => told(log())), { ...patiently, what: 'both logs' })
  expect(await run('shaky')).toMatchObject({ status: 'succeeded', output: 'steady' })
})

test('a prediction that was asked for under an alias runs, keeps that name, and is listed under both', async () => {
  await save('renamed.mjs', model('renamed', `() => 'found'`, `aliases: ['old/name', 'older'],`))
  await until(async () => (await call('GET /v1/models/older')).status === 200, { what: 'the model' })

  const made = await run('old/name')
  expect(made).toMatchObject({ status: 'succeeded', output: 'found', model: { name: 'old/name' } })
  const { body: waiting } = await call('POST /v1/predictions', { body: { model: 'older', input: {} } })
  await until(async () => (await call(`GET /v1/predictions/${waiting.id}`)).body.completed_at, {
    what: 'its end',
  })
  for (const query of ['model=renamed', 'model=old%2Fname', 'model=older&status=succeeded']) {
    const { body } = await call(`GET /v1/predictions?${query}`)
    expect(body.data.map(({ id }: { id: string }) => id)).toEqual([waiting.id, made.id])
    expect(body.pagination.total).toBe(2)
  }
  expect((await call('GET /v1/models/old%2Fname')).body).toMatchObject({ namespace: 'renamed' })
})

test('a model without its variables is shown offline and not served, and comes with them', async () => {
  await save(
    'needy.mjs',
    model('needy', `() => 'no'`, `requires: ['RELOAD_TEST_TOKEN', 'RELOAD_TEST_NONE'],`),
  )
  await until(async () => (await call('GET /v1/models/needy')).body.status === 'offline', {
    what: 'the model',
  })
  const { body } = await call('POST /v1/predictions', { body: { model: 'needy', input: {} } })
  const [worker] = service.processes.filter(({ app }) => app === 'worker')
  await until(() => worker?.log().includes('"missing":["RELOAD_TEST_NONE"]'), { what: "the worker's log" })

  await save('needy.mjs', model('needy', `() => 'yes'`, `requires: ['RELOAD_TEST_TOKEN'],`))
  const ended = await until(
    async () => {
      const { body: now } = await call(`GET /v1/predictions/${body.id}`)
      return now.completed_at && now
    },
    { ...patiently, what: 'the run that had waited' },
  )
  expect(ended).toMatchObject({ status: 'succeeded', output: 'yes' })
  expect(
    worker?.log().match(/needy \(text\) from \S+ is not served: RELOAD_TEST_NONE is not set/g),
  ).toHaveLength(1)
  // It was accepted under the state before. The api may read the file a moment after the worker.
  await until(async () => (await versionOf('needy')) !== ended.metadata.model_version, {
    what: 'another version',
  })
})
