import { spawn } from 'node:child_process'
import { Socket } from 'node:net'

/**
 * Has the process group of `leader` killed when this process is gone, however it went: kill -9 lets nobody do it
 * himself, and a leader that was killed in the same instant cannot see it either. A shell with a session of its own
 * waits for the end of a pipe that this process alone holds. Answers how to call it off, once the group is gone.
 */
export function guardGroup(leader: number | undefined): () => void {
  if (leader === undefined) {
    return () => undefined
  }
  const guard = spawn('/bin/sh', ['-c', whenPipeEnds, 'millrace-guard', String(leader)], {
    cwd: '/',
    env: {},
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  guard.on('error', () => undefined).unref()
  guard.stdin.on('error', () => undefined)
  if (guard.stdin instanceof Socket) {
    guard.stdin.unref()
  }
  return () => guard.kill('SIGKILL')
}

const whenPipeEnds = 'read -r _; kill -s KILL -- "-$1"'
