/**
 * A thread that watches whether the parent still lives. It works while the model keeps the main thread busy for ever:
 * when the parent is gone and the main thread has not left by itself, the whole process group is killed.
 */
import { Socket } from 'node:net'
import { LIFELINE_FD } from './host-messages.ts'

/** Time for the main thread to end what it has started outside the group. */
const FAREWELL_MS = 1000

new Socket({ fd: LIFELINE_FD })
  .resume()
  .on('error', () => undefined)
  .on('close', () => setTimeout(() => process.kill(-process.pid, 'SIGKILL'), FAREWELL_MS))
