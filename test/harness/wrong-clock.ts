import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Environment } from './processes.ts'

/** Whether this machine can give a process another time; `npm test` says how to get what is missing. */
export const canSetClocks = process.platform === 'linux' && hasFaketime()

/**
 * The environment of a process whose clock is off by `offset` (`+60s`, `-60s`, `+1d`). As on a machine whose clock is
 * wrong only the time of day is, not the monotonic clock that timers use.
 */
export function wrongClock(offset: string): Environment {
  const settings = ['--exclude-monotonic', '-m', '-f', offset, 'env']
  const lines = execFileSync('faketime', settings, { encoding: 'utf8' }).split('\n')
  // Its shared memory is gone with the command.
  return Object.fromEntries(
    lines
      .filter((line) => /^(LD_PRELOAD|FAKETIME|FAKETIME_DONT_FAKE_MONOTONIC|DONT_FAKE_MONOTONIC)=/.test(line))
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  )
}

/** A clock that is right at first and set while its process runs: `+1h`, then `-1h`. */
export function steppingClock(): SteppingClock {
  const { FAKETIME: _, ...environment } = wrongClock('+0')
  const folder = mkdtempSync(join(tmpdir(), 'millrace-clock-'))
  const file = join(folder, 'offset')
  const set = (offset: string) => writeFileSync(file, offset)
  set('+0')
  return {
    environment: { ...environment, FAKETIME_TIMESTAMP_FILE: file, FAKETIME_NO_CACHE: '1' },
    set,
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}

function hasFaketime(): boolean {
  try {
    execFileSync('faketime', ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

export interface SteppingClock {
  /** For the process that is to have it. */
  environment: Environment
  set(offset: string): void
  remove(): void
}
