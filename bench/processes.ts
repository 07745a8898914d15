import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { nodeFlags } from '@millrace/process/node-flags'

/** Starts a file, by its URL or its path in this checkout, as a process of its own, and waits until `readyUrl` answers 200. */
export async function startProcess(file: string, options: ProcessOptions): Promise<RunningProcess> {
  const { env, readyUrl, args = [], flags = nodeFlags } = options
  const program = fileURLToPath(new URL(file, root))
  const child = spawn(process.execPath, [...profiling(), ...flags, program, ...args], {
    env: { PATH: process.execPath.replace(/\/[^/]*$/, ''), NODE_ENV: 'production', ...env },
    stdio: ['pipe', 'ignore', 'pipe'],
  })
  alive.add(child)
  let log = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    log = (log + text).slice(-10_000)
  })
  const exited = once(child, 'exit').then(() => alive.delete(child))
  await untilReady(child, readyUrl).catch((error) => {
    child.kill('SIGKILL')
    throw new Error(`${file}: ${error.message}\n${log}`)
  })
  return {
    pid: child.pid ?? 0,
    async stop() {
      child.kill(profileFolder === undefined ? 'SIGKILL' : 'SIGTERM')
      await exited
    },
  }
}

/** Has every process that is started from now on write a CPU profile into this folder when it ends. */
export function profileInto(folder: string): void {
  profileFolder = folder
}

let profileFolder: string | undefined

const profiling = () => (profileFolder === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileFolder}`])

async function untilReady(child: ChildProcess, url: string): Promise<void> {
  for (let waited = 0; waited < 30_000; waited += 50) {
    if (child.exitCode !== null) throw new Error(`ended with ${child.exitCode}`)
    const ready = await fetch(url).then(
      ({ ok }) => ok,
      () => false,
    )
    if (ready) return
    await delay(50)
  }
  throw new Error(`${url} was never ready`)
}

const root = new URL('..', import.meta.url)
const alive = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of alive) child.kill('SIGKILL')
})

interface ProcessOptions {
  env: Record<string, string>
  readyUrl: string
  args?: string[]
  /** Of Node; those of our own processes unless stated. */
  flags?: readonly string[]
}

export interface RunningProcess {
  pid: number
  /** kill -9, since what is measured is over; in order where a profile is still to be written. */
  stop(): Promise<void>
}
