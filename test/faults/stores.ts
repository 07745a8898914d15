import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { startEmbeddedPostgres } from '@millrace/standalone/embedded-postgres'
import { freePort } from '@millrace/standalone/ports'
import { findPostgresHome } from '@millrace/standalone/postgres-home'
import { Redis } from 'ioredis'
import { accepts } from '../harness/accepts.ts'
import { until } from '../harness/wait.ts'
import type { Leash } from './leash.ts'
import { mountSmallDisk, type SmallDisk } from './small-disk.ts'

/**
 * A PostgreSQL that nobody else uses, so that it may be brought down. It comes back by itself, as under any supervisor.
 * With `diskMegabytes` it has a disk of its own that can be full, for which one must be root.
 */
export async function startPostgres(folder: string, diskMegabytes?: number): Promise<FaultyPostgres> {
  const disk = diskMegabytes === undefined ? undefined : await diskOf(folder, diskMegabytes)
  const server = await startEmbeddedPostgres({ dataDir: folder })
  const postmaster = async () =>
    Number.parseInt(await readFile(join(server.folder, 'postmaster.pid'), 'utf8'), 10)
  return {
    url: server.url,
    disk,
    async restart(how) {
      const pid = await postmaster()
      process.kill(pid, how === 'fast' ? 'SIGINT' : 'SIGQUIT')
      await until(
        async () => (await postmaster()) !== pid && (await accepts(Number(new URL(server.url).port))),
        {
          within: 30_000,
          what: 'PostgreSQL to be back',
        },
      )
    },
    async stop() {
      await server.stop({ hurry: true })
      await disk?.unmount()
      if (!server.folder.startsWith(folder))
        await rm(dirname(server.folder), { recursive: true, force: true })
    },
  }
}

/** Where root's databases lie, which is not in their data folder. */
async function diskOf(dataDir: string, megabytes: number): Promise<SmallDisk> {
  const { folder } = await findPostgresHome(dataDir)
  return mountSmallDisk(dirname(folder), megabytes)
}

/** A Redis that nobody else uses. It keeps nothing on disk: stopped and started again it is empty. */
export async function startRedis(folder: string, leash: Leash): Promise<FaultyRedis> {
  const port = await freePort()
  const url = `redis://127.0.0.1:${port}`
  let server = await launchRedis(port, folder, leash)
  const admin = new Redis(url, { maxRetriesPerRequest: null })
  admin.on('error', () => {})
  return {
    url,
    admin,
    signal: (name) => void server.kill(name),
    async halt() {
      if (server.exitCode !== null || server.signalCode !== null) return
      const exited = once(server, 'exit')
      server.kill('SIGKILL')
      await exited
    },
    async start() {
      server = await launchRedis(port, folder, leash)
    },
    async stop() {
      admin.disconnect()
      if (server.exitCode === null && server.signalCode === null) {
        const exited = once(server, 'exit')
        server.kill('SIGKILL')
        await exited
      }
    },
  }
}

async function launchRedis(port: number, folder: string, leash: Leash): Promise<ChildProcess> {
  const settings = ['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--dir', folder]
  const server = spawn('redis-server', [...settings, '--maxmemory-policy', 'noeviction'], { stdio: 'ignore' })
  const { pid } = server
  if (pid !== undefined) {
    leash.hold(pid)
    server.once('exit', () => leash.free(pid))
  }
  await until(() => accepts(port), { what: 'redis-server to accept connections' })
  return server
}

export interface FaultyPostgres {
  /** Past every proxy. */
  url: string
  /** Where it was given one of its own. */
  disk: SmallDisk | undefined
  /** `fast` rolls back and closes, `immediate` is a crash. Resolves when it accepts connections again. */
  restart(how: 'fast' | 'immediate'): Promise<void>
  stop(): Promise<void>
}

export interface FaultyRedis {
  /** Past every proxy. */
  url: string
  /** For FLUSHALL and CONFIG SET. */
  admin: Redis
  /** SIGSTOP and SIGCONT. */
  signal(name: NodeJS.Signals): void
  /** kill -9; it stays down until `start`, which starts it empty. */
  halt(): Promise<void>
  start(): Promise<void>
  stop(): Promise<void>
}
