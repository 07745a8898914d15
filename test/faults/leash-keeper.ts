import { rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { createInterface } from 'node:readline'
import { findPostgresHome } from '@millrace/standalone/postgres-home'
import { stopLeftover } from '@millrace/standalone/postgres-server'

// Run as a process of its own by ./leash.ts. Its input says what is held; when that ends, so does all that is held.
const [folder = ''] = process.argv.slice(2)
const held = new Set<number>()
for await (const line of createInterface(process.stdin)) {
  const [verb, pid] = line.split(' ')
  if (verb === 'hold') held.add(Number(pid))
  else held.delete(Number(pid))
}
for (const pid of held) kill(pid)
const home = await findPostgresHome(folder)
await stopLeftover(home)
if (!home.folder.startsWith(folder)) await rm(dirname(home.folder), { recursive: true, force: true })
await rm(folder, { recursive: true, force: true })

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended by itself.
  }
}
