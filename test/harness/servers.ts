import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { TestProject } from 'vitest/node'

/**
 * One Postgres and one Redis for the whole run. They belong to a keeper process that stops them and removes their
 * folders when its stdin closes, so nothing stays behind however this run ends, kill -9 included.
 */
export default async function startServers(project: TestProject): Promise<() => Promise<void>> {
  const keeper = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', keeperFile], {
    stdio: ['pipe', 'pipe', 'inherit'],
    detached: true, // a Ctrl-C is for vitest; the keeper follows when the pipe closes
  })
  const ended = once(keeper, 'exit')
  const [line] = await Promise.race([
    once(createInterface(keeper.stdout), 'line'),
    ended.then(() => [undefined]),
  ])
  if (typeof line !== 'string') throw new Error('The servers for the tests did not start; see above.')
  const { postgresUrl, redisUrl }: Servers = JSON.parse(line)
  project.provide('postgresUrl', postgresUrl)
  project.provide('redisUrl', redisUrl)
  return async () => {
    keeper.stdin.end()
    const [code] = await ended
    if (code !== 0) throw new Error('A server that the tests share failed under them; see above.')
  }
}

const keeperFile = fileURLToPath(new URL('keep-servers.ts', import.meta.url))

export interface Servers {
  /** The migrated template database, which nobody connects to: ./database.ts clones it. */
  postgresUrl: string
  redisUrl: string
}

declare module 'vitest' {
  interface ProvidedContext extends Servers {}
}
