import { setTimeout as delay } from 'node:timers/promises'

/**
 * What a failed statement tells: whether its row was at fault, another transaction, or the database itself. A database
 * that is read-only is the old primary of a failover: the one that can be written to is not reached. A statement that
 * was stopped (57014), by an operator or for taking too long, was cut off like one whose connection broke.
 */
export function faultOf(error: unknown): Fault {
  const code = codeOf(error)
  if (code === undefined) return wordsOfTheDriver.test(String(error)) ? 'unreachable' : 'other'
  if (code === '40P01' || code === '40001' || code === stalePlan) return 'conflict'
  if (code === '55P03') return 'locked'
  if (code === '23514' && /no partition of relation/.test(String(error))) return 'no-partition'
  if (/^(22|23|54)/.test(code)) return 'bad-row'
  if (/^(08|57|53|58|25P03|25006)/.test(code) || socketCodes.has(code)) return 'unreachable'
  return 'other'
}

/** Whether the database could not be reached or was cut off: the statement's outcome may be unknown. */
export function isUnreachable(error: unknown): boolean {
  return faultOf(error) === 'unreachable'
}

/** Whether the same statement may well be done a little later, by whatever the database is busy with now. */
export function isPassing(error: unknown): boolean {
  const fault = faultOf(error)
  return fault === 'unreachable' || fault === 'locked' || fault === 'conflict'
}

/**
 * Whether a statement that was prepared on this connection answers another shape by now, as `select *` does once a
 * migration added a column. Nothing was done; the connection refuses it for good, and another prepares it anew.
 */
export function isStalePlan(error: unknown): boolean {
  return codeOf(error) === stalePlan
}

/**
 * Runs `work` again while it loses a deadlock or serialization race (40P01, 40001) or meets a statement of an older
 * schema (0A000), at most `times` times.
 */
export async function retryConflicts<T>(work: () => Promise<T>, times = 5): Promise<T> {
  for (let tried = 1; ; tried++) {
    try {
      return await work()
    } catch (error) {
      if (faultOf(error) !== 'conflict' || tried >= times) throw error
      await delay(tried * 10 * Math.random())
    }
  }
}

/**
 * Does `work` again until the database answers it or `patienceMs` have passed; then its last failure is thrown, and at
 * once what the database refuses. `work` must be safe to repeat: the outcome of what failed may be unknown.
 */
export async function untilReachable<T>(work: () => Promise<T>, patienceMs: number): Promise<T> {
  const deadline = performance.now() + patienceMs
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (!isPassing(error) || performance.now() > deadline) throw error
      await delay(100)
    }
  }
}

const stalePlan = '0A000'

/** What the driver says by itself of a connection comes without a code. */
const wordsOfTheDriver =
  /Connection terminated|timeout exceeded when trying to connect|Query read timeout|not queryable/

/** What a socket or a name look-up fails with. A file system's codes look alike and are no fault of the database. */
const socketCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
])

/** What an error is called by whoever made it: of the database its SQLSTATE. */
export function codeOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}

export type Fault = 'conflict' | 'locked' | 'no-partition' | 'bad-row' | 'unreachable' | 'other'
