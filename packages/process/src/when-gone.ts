import { spawn } from 'node:child_process'
import { Socket } from 'node:net'
import type { Stream } from 'node:stream'

/**
 * Has a shell script run once this process is gone, however it went: kill -9 lets nobody do it himself. A shell with a
 * session of its own waits for the end of a pipe that this process holds, and those to whom `lifeline` is handed on.
 * The script gets `parameters` as $1, $2, …; it begins in `/`, with no environment.
 */
export function whenGone(script: string, ...parameters: string[]): Guard {
  const guard = spawn('/bin/sh', ['-c', `read -r _\n${script}`, 'millrace-guard', ...parameters], {
    cwd: '/',
    env: {},
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  guard.on('error', () => undefined).unref()
  guard.stdin.on('error', () => undefined)
  if (guard.stdin instanceof Socket) guard.stdin.unref()
  return { lifeline: guard.stdin, callOff: () => void guard.kill('SIGKILL') }
}

interface Guard {
  /** To be handed on, as a file descriptor, to processes for which the script shall wait as well. */
  lifeline: Stream
  /** Nothing is left to do. */
  callOff(): void
}
