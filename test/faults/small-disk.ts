import { execFile } from 'node:child_process'
import { open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

/** Puts a disk of so many megabytes, in memory, over a folder. Only root may. */
export async function mountSmallDisk(folder: string, megabytes: number): Promise<SmallDisk> {
  const run = promisify(execFile)
  const ballast = join(folder, 'ballast')
  await run('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', folder])
  return {
    async fill() {
      const file = await open(ballast, 'w')
      const block = Buffer.alloc(64 * 1024)
      try {
        for (;;) await file.write(block)
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error
      } finally {
        await file.close()
      }
    },
    free: () => rm(ballast, { force: true }),
    async unmount() {
      await run('umount', [folder])
    },
  }
}

export interface SmallDisk {
  /** Leaves not a byte. */
  fill(): Promise<void>
  free(): Promise<void>
  unmount(): Promise<void>
}
