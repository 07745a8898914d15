import { execFile } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { promisify } from 'node:util'

/**
 * Answers how to measure what the processes of a group have in memory together. Each call measures anew, and
 * rejects where this machine does not tell: it has neither Linux's `/proc` nor `ps`.
 */
export function groupMemory(leader: number): () => Promise<GroupMemory> {
  return process.platform === 'linux' ? measuredByProc(leader) : () => measuredByPs(leader)
}

/**
 * A process is looked at when it is new, and from then on only while it is in the group: four times a second, a busy
 * machine's thousands of others would cost too much. A child is born into its parent's group, so none is missed.
 */
function measuredByProc(leader: number): () => Promise<GroupMemory> {
  let strangers: ReadonlySet<string> = new Set()
  return async () => {
    const listed = (await readdir('/proc')).filter((name) => /^\d/.test(name))
    const looked = listed.filter((pid) => !strangers.has(pid))
    const groups = await Promise.all(looked.map(groupOf))
    const members = looked.filter((_, at) => groups[at] === leader)
    // Whatever could not be read this time is looked at again.
    const again = new Set(looked.filter((_, at) => groups[at] === undefined || groups[at] === leader))
    strangers = new Set(listed.filter((pid) => !again.has(pid)))
    const sizes = await Promise.all(members.map((pid) => kilobytes(`/proc/${pid}/status`, 'VmRSS')))
    return { megabytes: megabytesOf(sizes), processes: members.length, shareOut: () => sharedOut(members) }
  }
}

/** What forked processes share counts once: each is given its part of it. This walks all their pages, so it is dear. */
async function sharedOut(members: string[]): Promise<number> {
  const sizes = members.map(
    async (pid) =>
      // Some containers, and programs with privileges of their own, do not tell the parts.
      (await kilobytes(`/proc/${pid}/smaps_rollup`, 'Pss')) || kilobytes(`/proc/${pid}/status`, 'VmRSS'),
  )
  return megabytesOf(await Promise.all(sizes))
}

/** Undefined for a process that is gone by now. */
async function groupOf(pid: string): Promise<number | undefined> {
  const stat = await contentOf(`/proc/${pid}/stat`)
  // Its name is in parentheses and may hold anything, spaces and parentheses too; then come state, parent and group.
  const [, , group] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return group === undefined ? undefined : Number(group)
}

/** 0 where nothing is said, as of a process that has ended. */
async function kilobytes(path: string, name: string): Promise<number> {
  const [, size = '0'] = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(await contentOf(path)) ?? []
  return Number(size)
}

async function contentOf(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '')
}

async function measuredByPs(leader: number): Promise<GroupMemory> {
  const { stdout } = await promisify(execFile)('ps', ['-A', '-o', 'pgid=,rss='], { maxBuffer: 1 << 24 })
  const rows = stdout.split('\n').map((row) => row.trim().split(/\s+/).map(Number))
  const sizes = rows.flatMap(([group, size = 0]) => (group === leader ? [size] : []))
  const megabytes = megabytesOf(sizes)
  return { megabytes, processes: sizes.length, shareOut: async () => megabytes }
}

function megabytesOf(kilobytes: number[]): number {
  return kilobytes.reduce((sum, size) => sum + size, 0) / 1024
}

/** What a group uses. */
export interface GroupMemory {
  /** Resident memory of its processes, added up: what several of them share counts as often. Never too little. */
  megabytes: number
  processes: number
  /** The same with what is shared counted once, in MB, where the system tells it. */
  shareOut(): Promise<number>
}
