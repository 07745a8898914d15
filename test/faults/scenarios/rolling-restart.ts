import type { Entry } from '../history.ts'
import { createMany } from '../load.ts'
import type { Scenario } from '../scenario.ts'
import { ordinary, type World } from '../world.ts'

export const rollingRestart: Scenario = {
  name: 'rolling-restart',
  fault: 'SIGTERM of one api after the other under 100 creates a second',
  outcome: 'no connection that was taken is reset; besides 2xx there is only 503 with Retry-After',
  async run(world, { predictions, long }) {
    const from = world.history.entries.length
    let over = false
    // An answer that is held until the prediction ends comes after at most 50 s.
    const patient = { ...world.client, timeoutMs: 60_000 }
    const creating = createMany(patient, {
      count: long ? predictions : Math.max(predictions, 300),
      perSecond: 100,
      atOnce: 64,
      body: (nth) => (nth % 20 === 0 ? held(world) : ordinary(world)),
    }).finally(() => {
      over = true
    })
    let restarts = 0
    do {
      for (const api of world.apis) {
        world.fault(`SIGTERM ${api.name}`)
        await api.term()
        await api.present()
        restarts++
      }
    } while (!over)
    await creating
    await world.untilQuiet(120_000)

    const entries = world.history.entries.slice(from)
    const requests = entries.filter(isRequest)
    const refused = requests.filter(wasRefused)
    const broken = requests.filter((one) => !wasRefused(one) && !gaveUp(one) && !isProper(one))
    if (broken[0])
      throw new Error(`${broken.length} requests went wrong, the first: ${JSON.stringify(broken[0])}`)
    const heldMeanwhile = heldWhenOneLeft(entries)
    if (long && heldMeanwhile === 0) throw new Error('No answer was held when an api was told to leave')
    return { restarts, refused: refused.length, 'held meanwhile': heldMeanwhile }
  },
}

/** A create whose answer waits for its end, which takes a while; on record it is told by its tag. */
function held(world: World) {
  return { ...ordinary(world, { delay_ms: 500 }), await: true, tags: { team: 'held' } }
}

/** How many creates with a held answer were under way, at whichever api, when one was told to leave. */
function heldWhenOneLeft(entries: Entry[]): number {
  const leavings = entries.filter((entry) => entry.is === 'fault').map(({ at }) => at)
  const answered = entries
    .filter((entry) => entry.is === 'create')
    .filter(({ tag, status }) => tag === 'held' && status === 201)
  return answered.filter(({ asked, at }) => leavings.some((left) => asked < left && left < at)).length
}

/** What clients asked for, to create and to read: the world's reader looks and lists all the while. */
function isRequest(entry: Entry): entry is Request {
  return entry.is === 'create' || entry.is === 'get' || entry.is === 'list'
}

type Request = Extract<Entry, { is: 'create' | 'get' | 'list' }>

/**
 * Nobody listened, or stopped to in the very moment of the handshake: the client sent nothing yet, and a balancer would
 * ask the next api.
 */
function wasRefused({ status, error }: Request): boolean {
  return status === 0 && error !== undefined && /\bconnect ECONN(REFUSED|RESET)\b/.test(error)
}

/** The reader waits for 5 s, which a busy machine alone may take; that nothing is left hanging the creates show. */
function gaveUp({ is, status, error }: Request): boolean {
  return is !== 'create' && status === 0 && (error ?? '').includes('TimeoutError')
}

function isProper({ status, retryAfter }: Request): boolean {
  return (status >= 200 && status < 300) || (status === 503 && retryAfter === true)
}
