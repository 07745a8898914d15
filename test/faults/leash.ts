import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/**
 * Holds what a world started, for when the run dies before it could clean up: `leash-keeper.ts` sees its end, even
 * after kill -9, kills what is held and removes the folder. A stopped process cannot notice by itself.
 */
export function startLeash(folder: string): Leash {
  const keeper = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', keeperFile, folder], {
    stdio: ['pipe', 'ignore', 'inherit'],
    detached: true, // a Ctrl-C is for the run; the keeper follows when the pipe closes
  })
  keeper.stdin.on('error', () => {})
  const ended = new Promise<void>((resolve) => keeper.once('exit', () => resolve()))
  return {
    hold: (pid) => void keeper.stdin.write(`hold ${pid}\n`),
    free: (pid) => void keeper.stdin.write(`free ${pid}\n`),
    async end() {
      keeper.stdin.end()
      await ended
    },
  }
}

const keeperFile = fileURLToPath(new URL('leash-keeper.ts', import.meta.url))

export interface Leash {
  hold(pid: number): void
  /** It has ended; its number may soon be another's. */
  free(pid: number): void
  /** Removes the folder, with a database server in it, and all that is still held. */
  end(): Promise<void>
}
