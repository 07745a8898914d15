import { execFileSync } from 'node:child_process'
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

function hasFaketime(): boolean {
  try {
    execFileSync('faketime', ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
