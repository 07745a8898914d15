import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { migrate } from '@millrace/database/migrate'
import { startEmbeddedPostgres } from '@millrace/standalone/embedded-postgres'
import { freePort } from '@millrace/standalone/ports'
import { accepts } from './accepts.ts'
import type { Servers } from './servers.ts'
import { until } from './wait.ts'

// Run as a process of its own by ./servers.ts. Says where the servers are in one line of JSON and keeps them until
// stdin closes.
const closed = Promise.race([once(process.stdin.resume(), 'end'), once(process, 'SIGTERM')])
const folder = await mkdtemp(join(tmpdir(), 'millrace-test-'))
const stops: (() => unknown)[] = [() => rm(folder, { recursive: true, force: true })]
try {
  const postgresUrl = await startPostgres()
  const redisUrl = await startRedis()
  console.log(JSON.stringify({ postgresUrl, redisUrl } satisfies Servers))
  await closed
} catch (error) {
  console.error(error)
  process.exitCode = 1
} finally {
  for (const stop of stops.reverse()) await stop()
}
process.exit()

async function startPostgres(): Promise<string> {
  const postgres = await startEmbeddedPostgres({ dataDir: folder, durable: false })
  stops.push(async () => {
    await postgres.stop({ hurry: true })
    await sayCrashes()
    await rm(dirname(postgres.folder), { recursive: true, force: true })
  })
  await migrate(postgres.url)
  return postgres.url
}

/** No test may bring the shared server down: the tests beside it would fail for no reason of their own. */
async function sayCrashes(): Promise<void> {
  const log = await readFile(join(folder, 'postgres.log'), 'utf8')
  const crashes = log.match(/^.*was terminated by signal.*\n.*\n(?:\t.*\n)*/gm) ?? []
  if (crashes.length === 0) return
  console.error(`PostgreSQL crashed ${crashes.length} times under the tests:\n${crashes.join('\n')}`)
  process.exitCode = 1
}

async function startRedis(): Promise<string> {
  const port = await freePort()
  const server = spawn(
    'redis-server',
    ['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--dir', folder],
    {
      stdio: 'ignore',
    },
  )
  await Promise.race([
    until(() => accepts(port), { what: 'redis-server to accept connections' }),
    once(server, 'error').then(([error]) => {
      throw new Error('redis-server is not installed; `npm test` says how to get it', { cause: error })
    }),
  ])
  stops.push(async () => {
    server.kill('SIGKILL')
    await once(server, 'exit')
  })
  return `redis://127.0.0.1:${port}`
}
