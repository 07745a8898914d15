import { setTimeout as delay } from 'node:timers/promises'
import { type Job, leavesJob } from '../provider.ts'
import { type Bell, createBell } from './bell.ts'
import { JobOver, Unavailable } from './faults.ts'
import type { AnyCall } from './open-remote.ts'

/**
 * Has a host that keeps jobs of its own do a run: makes the job, or takes up the one that an earlier attempt made, and
 * looks at it until it has ended. What the host calls it is kept before anything is waited for, so that nobody pays
 * twice when this worker goes away. A job that is no longer wanted is cancelled, unless another worker will take it up.
 */
export async function driveJob<Ref extends Job, Result>(
  call: AnyCall,
  host: JobHost<Ref, Result>,
): Promise<Result> {
  call.signal.throwIfAborted()
  const bell = createBell()
  const hangUp = call.callback?.listen(() => bell.ring())
  const over = new AbortController()
  try {
    const earlier = host.known(call.job)
    const ref = earlier ?? (await begin(call, host))
    host.listen?.(ref, bell, AbortSignal.any([call.signal, over.signal]))
    return await untilEnded(call, bell, () => host.look(ref)).catch(async (error: unknown) => {
      // It may have ended just now: to cancel what has ended does no harm.
      if (call.signal.aborted && !leavesJob(call.signal)) await quietly(host.cancel(ref))
      throw error
    })
  } finally {
    hangUp?.()
    over.abort()
  }
}

/** A cloud posts to `https` addresses only, and refuses jobs that name another; what is in the house posts to any. */
export function mayReach(callback: string, base: string): boolean {
  return callback.startsWith('https:') || base.startsWith('http:')
}

/** A job that could not be kept is taken up by nobody, so it is cancelled whatever else is the matter. */
async function begin<Ref extends Job>(call: AnyCall, host: JobHost<Ref, unknown>): Promise<Ref> {
  const ref = await host.create()
  try {
    await call.keep?.(ref)
    return ref
  } catch (error) {
    await quietly(host.cancel(ref))
    throw error
  }
}

/**
 * The pauses grow with the time that it has taken already: a tenth of it. A host that cannot be asked may still be at
 * work, so that is borne for as long as a host may be silent.
 */
async function untilEnded<Result>(
  { signal, timeoutMs }: AnyCall,
  bell: Bell,
  look: () => Promise<Result | undefined>,
): Promise<Result> {
  const begun = performance.now()
  let heard = begun
  for (;;) {
    let asked = 0
    try {
      const result = await look()
      if (result !== undefined) return result
      heard = performance.now()
    } catch (error) {
      const gone = performance.now() - heard
      if (!(error instanceof Unavailable) || error instanceof JobOver || gone > timeoutMs) throw error
      asked = (error.about.retryAfterSeconds ?? 0) * 1000
    }
    const pause = Math.min((performance.now() - begun) / 10, bell.live ? longestOnBell : longest)
    // However often it rings.
    await delay(shortest, undefined, { signal }).catch(() => signal.throwIfAborted())
    await bell.wait(Math.max(pause - shortest, asked, 0), signal)
  }
}

async function quietly(deed: Promise<unknown> | undefined): Promise<void> {
  await deed?.catch(() => undefined)
}

const shortest = 200
const longest = 5_000
/** A bell may break without a sound. */
const longestOnBell = 15_000

/** The habits of a host that keeps jobs. */
export interface JobHost<Ref extends Job, Result> {
  /** What an earlier attempt kept, where it is this host's. */
  known(job: Job | undefined): Ref | undefined
  /** Not to be broken off by the run's signal: what was made without a name could neither be cancelled nor taken up. */
  create(): Promise<Ref>
  /** Undefined while it has not ended. Throws JobOver when it never will, or ended by the host's fault. */
  look(ref: Ref): Promise<Result | undefined>
  cancel(ref: Ref): Promise<void>
  /** Rings when there is something to look at, until the signal fires. Throws nothing. */
  listen?(ref: Ref, bell: Bell, signal: AbortSignal): void
}
