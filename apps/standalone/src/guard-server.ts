import { spawn } from 'node:child_process'
import { Socket } from 'node:net'
import type { Stream } from 'node:stream'

/**
 * Has a database server stopped, in order, when nobody is left who works with it: after a kill -9 of the supervisor its
 * apps drain first. A shell with a session of its own waits for the end of a pipe; who holds `lifeline`, this process
 * and those it is handed to, keeps the server. The port tells the server of this run from one that a later start has
 * brought up on the same folder meanwhile.
 */
export function guardServer(folder: string, port: number): ServerGuard {
  const guard = spawn('/bin/sh', ['-c', whenPipeEnds, 'millrace-guard', folder, String(port)], {
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

// The first and the fourth line of this file are the server's pid and port. SIGINT is its fast, clean shutdown.
const whenPipeEnds = `
  read -r _
  { read -r pid; read -r _; read -r _; read -r port; } < "$1/postmaster.pid" || exit
  [ "$port" = "$2" ] && kill -s INT "$pid"`

export interface ServerGuard {
  /** To be handed on to processes that work with the server, as one of their file descriptors. */
  lifeline: Stream
  /** The server is stopped already. */
  callOff(): void
}
