import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { readStanding } from '@millrace/accounts/standing'
import { linesEnded, type OpenLine, openLines } from '@millrace/batches/batch-lines'
import {
  changeBatch,
  type HeldBatch,
  leaveBatch,
  now,
  renewBatch,
  takeBatches,
} from '@millrace/batches/hold-batches'
import { isTerminal, type Status } from '@millrace/contract/statuses'
import { isPassing } from '@millrace/database/faults'
import { requestCancel } from '@millrace/lifecycle/cancel'
import type { Context } from '../context.ts'
import { acceptTaken, accountSuspended, endRest, feedBatch, notRun } from './feed-batch.ts'
import { type LineRunner, openLineRunner } from './line-runner.ts'
import { validateBatch } from './validate-batch.ts'
import { writeResults } from './write-results.ts'

/**
 * Works on batches until it is told to stop: takes those that nobody holds, a few at a time, and leads each to its end.
 * All that it knows is in the database, so another process goes on where one was killed.
 */
export function runBatches(context: Context): BatchRunner {
  const worker = randomUUID()
  const slots = context.config.BATCH_SLOTS
  const stopping = new AbortController()
  const working = new Map<string, Promise<void>>()
  let done = Promise.resolve()

  async function look(): Promise<void> {
    const taken = await takeBatches(context.db, worker, slots - working.size, [...working.keys()])
    for (const batch of taken) {
      working.set(
        batch.id,
        lead(context, batch, stopping.signal).finally(() => working.delete(batch.id)),
      )
    }
  }

  async function watch(): Promise<void> {
    while (!stopping.signal.aborted) {
      if (working.size < slots) {
        await look().catch((error: unknown) =>
          context.log.debug({ err: error }, 'batches could not be looked for'),
        )
      }
      await pause(lookMs, stopping.signal)
    }
    await Promise.all(working.values())
  }

  done = watch()
  return {
    async stop() {
      stopping.abort()
      await done
    },
  }
}

/** Steps on until the batch has ended, or is somebody else's. What passes is waited out. */
async function lead(context: Context, taken: HeldBatch, stopping: AbortSignal): Promise<void> {
  // A step may take longer than a lease.
  const beat = setInterval(() => void renewBatch(context.db, taken).catch(() => undefined), beatMs)
  const runner = openLineRunner(context, taken)
  try {
    await stepOn(context, taken, runner, stopping)
  } finally {
    clearInterval(beat)
    await runner.stop().catch((error: unknown) => context.log.debug({ err: error }, 'answers were not noted'))
  }
}

async function stepOn(
  context: Context,
  taken: HeldBatch,
  runner: LineRunner,
  stopping: AbortSignal,
): Promise<void> {
  for (let held: HeldBatch | undefined = taken; held && held.ended_at === null; ) {
    const batch: HeldBatch = held
    if (stopping.aborted) {
      await runner.stop().catch(() => undefined) // those lines are run again
      await leaveBatch(context.db, batch).catch(() => undefined) // its lease ends
      return
    }
    try {
      const busy = await step(context, batch, runner)
      if (!busy) await pause(stepMs, stopping)
      held = await renewBatch(context.db, batch)
    } catch (error) {
      context.log[isPassing(error) ? 'debug' : 'error'](
        { err: error, batch: batch.id },
        'a batch was held up',
      )
      await pause(lookMs, stopping)
      held = await renewBatch(context.db, batch).catch(() => batch)
    }
  }
}

/** One round of work. Answers whether there is more to do at once. */
async function step(context: Context, batch: HeldBatch, runner: LineRunner): Promise<boolean> {
  if (batch.status === 'validating') {
    await validateBatch(context, batch)
    return true
  }
  await runner.flush()
  // Read first: what ends meanwhile is not lost.
  const held = runner.held()
  const open = await openLines(context.db, batch.id)
  const ended = open.filter(hasEnded)
  await linesEnded(
    context.db,
    batch.id,
    ended.map(({ line, status }) => ({ line, state: status === 'succeeded' ? 'completed' : 'failed' })),
  )
  const left = open.filter((line) => !ended.includes(line))
  const isDone = left.length === 0 && batch.read_lines >= batch.total
  if (batch.late && !isDone && batch.late_at === null) {
    await changeBatch(context.db, batch, { late_at: now })
    return true
  }
  if (batch.status === 'cancelling' || batch.late_at !== null) {
    await runner.stop()
    return stop(context, batch, left)
  }
  if (batch.status === 'in_progress' && (await stopSuspended(context, batch))) return true
  const lost = left.filter((one) => one.state === 'taken' && one.status === null && !held.has(one.line))
  const hasRoom = runner.waiting() < feedAtOnce && !runner.isPaused()
  if (lost.length > 0 && hasRoom) await acceptTaken(context, batch, runner, lost.slice(0, feedAtOnce))
  if (batch.read_lines < batch.total && left.length <= window - feedAtOnce && hasRoom) {
    await feedBatch(context, batch, runner, feedAtOnce)
    return lost.length === 0
  }
  return isDone && finish(context, batch)
}

/** What ran and is not there any more was deleted. */
function hasEnded({ state, status }: OpenLine): boolean {
  return status === null ? state === 'running' : isTerminal(status as Status)
}

/** What runs is cancelled, what was not run never is, and both have their answer. */
async function stop(context: Context, batch: HeldBatch, open: OpenLine[]): Promise<boolean> {
  const unborn = open.filter(({ status }) => status === null)
  await linesEnded(
    context.db,
    batch.id,
    unborn.map(({ line }) => ({ line, state: 'failed', answer: notRun(batch) })),
  )
  const running = open.filter(({ status }) => status !== null)
  const asked = await Promise.all(
    running
      .slice(0, feedAtOnce)
      .map(async ({ prediction_id: id }) => ({ id, what: await requestCancel(context.lifecycle, id) })),
  )
  const at = asked.filter(({ what }) => what === 'asked').map(({ id }) => id)
  if (at.length > 0) context.queue.signal('cancel', at)
  if (await endRest(context, batch, 1_000)) return true
  if (open.length === 0) return finish(context, batch)
  return false
}

/** Counted anew: the answers are written of all lines. */
async function finish(context: Context, batch: HeldBatch): Promise<boolean> {
  const current = await renewBatch(context.db, batch)
  if (current) await writeResults(context, current)
  return true
}

/** Nothing more is run for an account that may not ask for it: its batch is cancelled, and says why. */
async function stopSuspended(context: Context, batch: HeldBatch): Promise<boolean> {
  const { suspended } = await readStanding(context.db, batch.account_id)
  if (!suspended) return false
  const errors = JSON.stringify([...(batch.errors ?? []), { ...accountSuspended, param: null, line: null }])
  await changeBatch(context.db, batch, { status: 'cancelling', cancelling_at: now, errors }, ['in_progress'])
  return true
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal, ref: false }).catch(() => undefined)
}

/** Lines of a batch that run, and lines that are taken together. */
const window = 1_000
const feedAtOnce = 100

const lookMs = 1_000
const stepMs = 250
const beatMs = 5_000

export interface BatchRunner {
  /** Finishes what it is at, and gives the batches back. */
  stop(): Promise<void>
}
