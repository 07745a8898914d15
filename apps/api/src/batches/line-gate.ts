import type { Context } from '../context.ts'
import { holderOf, pauseOf, type RatedCaller, takeRequestFor } from '../rates.ts'

/**
 * Lets the predictions of a batch begin one after another, as far as the limits of its account allow. The first that
 * they refuse shuts it for the rest, and tells `pause` for how many seconds: nobody is refused who waits anyway.
 */
export function lineGate(
  context: Context,
  owner: RatedCaller,
  pause: (seconds: number) => void,
): (slug: unknown) => Promise<boolean> {
  let isShut = false
  let turn: Promise<unknown> = Promise.resolve()

  async function pass(slug: unknown): Promise<boolean> {
    if (isShut) return false
    let leave = () => {}
    try {
      leave = await context.waiting.enter(owner)
      const rated = { holder: holderOf(owner), family: 'predictions' as const }
      await takeRequestFor(context, rated, typeof slug === 'string' ? slug : undefined)
      return true
    } catch (error) {
      leave()
      const seconds = pauseOf(error)
      if (seconds === undefined) throw error
      isShut = true
      pause(seconds)
      return false
    }
  }

  return (slug) => {
    if (owner.plan.limits === undefined && !owner.limits) return Promise.resolve(true)
    const own = turn.then(() => pass(slug))
    turn = own.catch(() => undefined)
    return own
  }
}
