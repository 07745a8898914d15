import type { Entry } from '../history.ts'
import { createMany } from '../load.ts'
import type { Scenario } from '../scenario.ts'
import { ordinary } from '../world.ts'

export const rollingRestart: Scenario = {
  name: 'rolling-restart',
  fault: 'SIGTERM of one api after the other under 100 creates a second',
  outcome: 'no connection that was taken is reset; besides 2xx there is only 503 with Retry-After',
  async run(world, { predictions, long }) {
    const from = world.history.entries.length
    let over = false
    const creating = createMany(world.client, {
      count: long ? predictions : Math.max(predictions, 300),
      perSecond: 100,
      atOnce: 64,
      body: () => ordinary(world),
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

    const creates = world.history.entries.slice(from).filter((entry) => entry.is === 'create')
    const refused = creates.filter(wasRefused)
    const broken = creates.filter((one) => !wasRefused(one) && !isProper(one))
    if (broken[0])
      throw new Error(`${broken.length} creates went wrong, the first: ${JSON.stringify(broken[0])}`)
    return { restarts, refused: refused.length }
  },
}

type Create = Extract<Entry, { is: 'create' }>

/**
 * Nobody listened, or stopped to in the very moment of the handshake: the client sent nothing yet, and a balancer would
 * ask the next api.
 */
function wasRefused({ status, error }: Create): boolean {
  return status === 0 && error !== undefined && /\bconnect ECONN(REFUSED|RESET)\b/.test(error)
}

function isProper({ status, retryAfter }: Create): boolean {
  return (status >= 200 && status < 300) || (status === 503 && retryAfter === true)
}
