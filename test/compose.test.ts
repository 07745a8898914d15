import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { readConfig as readApiConfig, readMigrateConfig } from '@millrace/api/config'
import { readConfig as readDispatcherConfig } from '@millrace/dispatcher/config'
import { nodeFlags } from '@millrace/process/node-flags'
import { readConfig as readWorkerConfig } from '@millrace/worker/config'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'

const root = new URL('../', import.meta.url)
const text = await readFile(new URL('docker-compose.yml', root), 'utf8')
const compose: Compose = parse(text, { merge: true })
const ours = Object.entries(compose.services).filter(([, service]) => service.build !== undefined)

const configs = {
  'apps/api/src/main.ts': { source: 'apps/api/src/config.ts', read: readApiConfig },
  'apps/api/src/migrate.ts': { source: 'apps/api/src/config.ts', read: readMigrateConfig },
  'apps/worker/src/main.ts': { source: 'apps/worker/src/config.ts', read: readWorkerConfig },
  'apps/dispatcher/src/main.ts': { source: 'apps/dispatcher/src/config.ts', read: readDispatcherConfig },
} as const

test('the fleet is two apis on two ports, two workers, a dispatcher, one migration, Postgres and Redis', () => {
  expect(Object.keys(compose.services).sort()).toEqual(
    ['api-1', 'api-2', 'dispatcher', 'migrate', 'postgres', 'redis', 'worker-1', 'worker-2'].sort(),
  )
  const published = ['api-1', 'api-2'].flatMap((name) => compose.services[name]?.ports ?? [])
  expect(new Set(published).size).toBe(2)
})

test('the image runs Node as npm start does', async () => {
  const dockerfile = await readFile(new URL('Dockerfile', root), 'utf8')
  expect(/NODE_OPTIONS="([^"]+)"/.exec(dockerfile)?.[1]?.split(' ')).toEqual(nodeFlags)
})

describe.each(ours)('%s', (_name, service) => {
  const main = service.command?.[1] ?? ''

  test('runs a file that exists', () => {
    expect(service.command?.[0]).toBe('node')
    expect(existsSync(new URL(main, root)), main).toBe(true)
  })

  test('is given settings that its program accepts, and none that it does not know', async () => {
    const { source, read } = configs[main as keyof typeof configs]
    const environment = interpolate(service.environment ?? {}, { MASTER_KEY: 'k'.repeat(32) })
    expect(() => read(environment)).not.toThrow()

    const known = await readFile(new URL(source, root), 'utf8')
    const unknown = Object.keys(environment).filter((name) => !new RegExp(`\\b${name}\\b`).test(known))
    expect(unknown).toEqual([])
  })

  test('shares the files with the others', () => {
    expect(service.volumes).toContain('files:/files')
  })
})

test('the programs start after the migration, and the migration after Postgres', () => {
  const apps = ours.filter(([name]) => name !== 'migrate')
  for (const [name, { depends_on: needs }] of apps) {
    expect(needs?.migrate?.condition, name).toBe('service_completed_successfully')
    expect(needs?.redis?.condition, name).toBe('service_healthy')
  }
  expect(compose.services.migrate?.depends_on?.postgres?.condition).toBe('service_healthy')
})

test('.env.example names every variable that docker-compose.yml reads', async () => {
  const example = await readFile(new URL('.env.example', root), 'utf8')
  const named = [...example.matchAll(/^([A-Z_]+)=/gm)].map(([, name]) => name)
  const read = [...text.matchAll(/\$\{([A-Z_]+)/g)].map(([, name]) => name)
  expect(named.toSorted()).toEqual([...new Set(read)].toSorted())
})

const command = await promisify(execFile)('docker-compose', ['version']).then(
  () => ['docker-compose'],
  () => undefined,
)
test.skipIf(!command)('docker-compose accepts it, and asks for MASTER_KEY', async () => {
  const check = (key: string) =>
    promisify(execFile)(
      'env',
      [`MASTER_KEY=${key}`, 'docker-compose', '--env-file', '.env.example', 'config', '--quiet'],
      {
        cwd: root,
      },
    )
  await expect(check('k'.repeat(32))).resolves.toBeDefined()
  await expect(check('')).rejects.toThrow('set MASTER_KEY in .env')
})

/** What compose does with `${NAME:-default}` and `${NAME:?message}`. */
function interpolate(
  environment: Record<string, string>,
  given: Record<string, string>,
): Record<string, string> {
  const value = (template: string) =>
    template.replace(
      /\$\{([A-Z_]+)(?::[-?]([^}]*))?\}/g,
      (_all, name, otherwise) => given[name] ?? otherwise ?? '',
    )
  return Object.fromEntries(Object.entries(environment).map(([name, template]) => [name, value(template)]))
}

interface Compose {
  services: Record<string, Service>
}

interface Service {
  build?: string
  command?: string[]
  environment?: Record<string, string>
  ports?: string[]
  volumes?: string[]
  depends_on?: Record<string, { condition: string }>
}
