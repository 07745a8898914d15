import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import type { Log } from '@millrace/process/log'

/**
 * Makes the folder in which this process keeps what its runs work on, and removes those of workers that were killed on
 * this host: they hold the files of customers. Only this user can read it.
 */
export async function openWorkFolder(parent: string, log: Log): Promise<string> {
  for (const name of await readdir(parent)) {
    if (!isAbandoned(name)) continue
    const removal = rm(join(parent, name), { recursive: true, force: true, maxRetries: 3 })
    await removal.catch((err: unknown) => log.warn({ err }, 'what a killed worker left could not be removed'))
  }
  return mkdtemp(join(parent, `${prefix}${process.pid}-`))
}

/** Before this process has made its own, one with its pid is of an earlier process: in a container pids come again. */
function isAbandoned(name: string): boolean {
  if (!name.startsWith(prefix)) return false
  const pid = Number(/^(\d+)-\w+$/.exec(name.slice(prefix.length))?.[1])
  return pid > 0 && (pid === process.pid || !lives(pid))
}

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // Somebody else's process (EPERM) lives, too.
    return !(error instanceof Error && 'code' in error && error.code === 'ESRCH')
  }
}

/** Pids mean something on one host only, and a folder may be mounted on several. */
const prefix = `millrace-work-${hostname()}-`
