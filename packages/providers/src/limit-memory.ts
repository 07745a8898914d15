import { groupMemory } from './group-memory.ts'

/**
 * Watches a process group, and has it killed when its processes together use more than `megabytes` of memory. It is
 * looked at a few times a second, so what is used for less than that may go unseen. Without a limit nothing is watched.
 */
export function limitMemory({ leader, megabytes, kill, log }: MemoryLimit): WatchedMemory {
  if (leader === undefined || megabytes === undefined) {
    return { fault: () => undefined, callOff: () => undefined }
  }
  const measure = groupMemory(leader)
  let isOver = false
  let fault: string | undefined
  let timer: NodeJS.Timeout | undefined

  async function look(limit: number): Promise<void> {
    const { megabytes: most, processes, shareOut } = await measure()
    const used = most > limit ? await shareOut() : most
    if (isOver) return
    if (used > limit) {
      fault = excess(limit, used, processes)
      kill()
      return
    }
    lookLater(limit)
  }
  function lookLater(limit: number): void {
    timer = setTimeout(() => look(limit).catch(giveUp), EVERY_MS).unref()
  }
  function giveUp(error: unknown): void {
    if (isOver) return
    log(`memory_mb is not watched on this machine: ${error instanceof Error ? error.message : error}`)
  }

  lookLater(megabytes)
  return {
    fault: () => fault,
    callOff() {
      isOver = true
      clearTimeout(timer)
    },
  }
}

function excess(limit: number, used: number, processes: number): string {
  const where = processes === 1 ? 'one process' : `${processes} processes`
  return `The command used more than its ${limit} MB of memory: ${Math.ceil(used)} MB in ${where}`
}

const EVERY_MS = 250

interface MemoryLimit {
  /** The process that leads the group; undefined is one that never started. */
  leader: number | undefined
  megabytes: number | undefined
  kill(): void
  /** Told once when this machine does not say what a process uses. */
  log(text: string): void
}

/** A group under a limit. */
export interface WatchedMemory {
  /** Why the group was killed, in a sentence. */
  fault(): string | undefined
  /** The group is gone. */
  callOff(): void
}
