import type { Response } from 'express'
import { callerOf } from './authenticate.ts'
import type { Context } from './context.ts'
import { pauseOf, takeRequest } from './rates.ts'

/**
 * Lets a new create in as far as the limits of its caller allow: its rates, and how many may wait. Throws
 * RATE_LIMIT_EXCEEDED, or RATE_LIMITED where inference is answered, and QUEUE_FULL; what is refused counts nowhere.
 */
export async function enterLimits(context: Context, response: Response, slug: string): Promise<Entry> {
  const taken = await takeRequest(context, response, slug)
  const uncount = async () => taken?.settle(() => 0)
  try {
    const leave = await context.waiting.enter(callerOf(response))
    return {
      leave,
      async undo() {
        leave()
        await uncount()
      },
    }
  } catch (error) {
    await uncount()
    throw error
  }
}

/**
 * Takes more for a create that was let in, or that is about to be: what that refuses counts nowhere. A repeat, which has
 * no entry, takes nothing.
 */
export async function takeMore(entry: Entry | undefined, work: () => Promise<void>): Promise<void> {
  if (!entry) return
  try {
    await work()
  } catch (error) {
    await (pauseOf(error) === undefined ? entry.leave() : entry.undo())
    throw error
  }
}

export interface Entry {
  /** Nothing will wait, since nothing is created. */
  leave(): void
  /** It was no request of its own but a repeat: as if it had never come. */
  undo(): Promise<void>
}
