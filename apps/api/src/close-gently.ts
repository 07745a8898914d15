import { once } from 'node:events'
import type { Server } from 'node:http'
import { Server as TcpServer } from 'node:net'
import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises'

/**
 * Ends a server and resets nobody: it takes no more connections, and what still comes over the open ones is answered,
 * with `connection: close` (let-go.ts). A connection without a request is closed after `onTheWayMs`, in which one that
 * was on its way arrives.
 */
export async function closeGently(server: Server, { onTheWayMs = 1_000 } = {}): Promise<void> {
  const closed = once(server, 'close')
  await quickTurn()
  // Not http's own close, which destroys idle connections at once, with the requests that are on their way.
  TcpServer.prototype.close.call(server)
  await Promise.race([closed, delay(onTheWayMs)])
  const closing = setInterval(() => server.closeIdleConnections(), 100)
  await Promise.race([closed, delay(longestMs)])
  clearInterval(closing)
}

/**
 * Closing resets what the kernel has accepted and we have not. In each turn all of that is taken, so right after a turn
 * that was over at once next to nothing has come since.
 */
async function quickTurn(): Promise<void> {
  await nextTurn()
  for (let turns = 0; turns < 1_000; turns++) {
    const began = performance.now()
    await nextTurn()
    if (performance.now() - began < quickMs) return
  }
}

const quickMs = 0.5

/** How long an answer may take from then on. */
export const longestMs = 10_000
