import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { variablesIn } from '@millrace/models/variables'
import { expect, onTestFinished, test } from 'vitest'
import { callerOf, uuidOf } from './api-caller.ts'
import type { HostUnderTest } from './conformance-run.ts'
import { startService } from './harness/service.ts'
import { until } from './harness/wait.ts'
import * as cog from './hosts/cog.ts'
import * as fal from './hosts/fal.ts'
import * as http from './hosts/http.ts'
import * as openai from './hosts/openai.ts'
import * as replicate from './hosts/replicate.ts'
import { untilEnded } from './until-ended.ts'

// Real workers, real kinds, and hosts that behave as their contracts say.
test.each<[string, () => Promise<HostUnderTest>]>([
  ['http', () => http.openHost('poll')],
  ['cog', () => cog.openHost()],
  ['replicate', () => replicate.openHost()],
  ['fal', () => fal.openHost()],
  ['openai (videos)', () => openai.openHost('videos')],
])(
  '%s: a worker that is killed while its host works costs no second job',
  { timeout: 150_000 },
  async (_kind, open) => {
    const host = await open()
    onTestFinished(() => host.close())
    const { service, slug } = await givenService(host)
    const call = callerOf(service.url, service.apiKey)
    const first = await service.start('worker', { WORKER_NAME: 'first' })
    const { body } = await call('POST /v1/predictions', {
      body: { model: slug, input: { do: 'hang', text: 'x' } },
    })
    await until(
      async () => {
        const { rows } = await service.db.pool.query(
          'select from runs where prediction_id = $1 and job is not null',
          [uuidOf(body.id)],
        )
        return rows.length === 1 && host.created() === 1
      },
      { within: 60_000, what: 'the job to be kept' },
    )

    await first.kill()
    await service.start('worker', { WORKER_NAME: 'second' })
    const holder = async () =>
      (await service.db.pool.query('select worker from runs where prediction_id = $1', [uuidOf(body.id)]))
        .rows[0]?.worker
    await until(async () => (await holder()) === 'second', {
      within: 60_000,
      what: 'the second worker to take it',
    })
    host.release()

    expect(await untilEnded(call, body.id)).toMatchObject({ status: 'succeeded', metadata: { attempts: 2 } })
    expect(host.created(), 'jobs that were paid for').toBe(1)
    expect(await host.cancelled()).toBe(0)
  },
)

test('cog: what a container reported while no worker was there costs no second run', {
  timeout: 150_000,
}, async () => {
  const host = await cog.openHost()
  onTestFinished(() => host.close())
  const { service, slug } = await givenService(host)
  const call = callerOf(service.url, service.apiKey)
  const first = await service.start('worker', { WORKER_NAME: 'first' })
  const { body } = await call('POST /v1/predictions', {
    body: { model: slug, input: { do: 'hang', text: 'x' } },
  })
  await until(() => host.running().length === 1, { within: 60_000, what: 'the container to be at work' })

  await first.kill()
  host.release()
  await until(
    async () =>
      (await service.db.pool.query(`select from callbacks where body like '%"succeeded"%'`)).rows.length ===
      1,
    { within: 60_000, what: 'the report of the end' },
  )
  await service.start('worker', { WORKER_NAME: 'second' })

  expect(await untilEnded(call, body.id)).toMatchObject({ status: 'succeeded', metadata: { attempts: 2 } })
  expect(host.created(), 'runs in the container').toBe(1)
})

/** A service without workers whose only model of its own is at that host. */
async function givenService({ description }: HostUnderTest) {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-re-attach-'))
  const { namespace, type, capabilities, input_schema, output_schema, provider } = description
  // A file may not hold the key that a fake wants, only name it.
  const keys = Object.entries(provider).filter(([name]) => ['api_key', 'token', 'key'].includes(name))
  const named = Object.fromEntries(keys.map(([name]) => [name, `\${HOST_${name.toUpperCase()}}`]))
  const stated = {
    namespace,
    type,
    capabilities,
    input_schema,
    output_schema,
    provider: { ...provider, ...named },
  }
  await writeFile(join(folder, 'model.json'), JSON.stringify(stated))
  const variables = [
    ...variablesIn(provider).map(({ name }) => [name, 'sk-conformance-0123456789']),
    ...keys.map(([name, value]) => [`HOST_${name.toUpperCase()}`, value]),
  ]
  const service = await startService({
    queue: 'redis',
    workers: 0,
    env: { MODELS_DIR: folder, CALLBACKS: 'true', ...Object.fromEntries(variables) },
  })
  onTestFinished(async () => {
    await service.stop()
    await rm(folder, { recursive: true, force: true })
  })
  return { service, slug: namespace }
}
