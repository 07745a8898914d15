import type { Receiver } from '../../harness/receiver.ts'
import { until } from '../../harness/wait.ts'
import { createMany } from '../load.ts'
import type { Scenario } from '../scenario.ts'
import { deliveriesAtOnce, ordinary, type World } from '../world.ts'

export const killDispatcher: Scenario = {
  name: 'kill-dispatcher',
  shortOn: 'postgres',
  fault: 'kill -9 of every dispatcher with 1,000 deliveries in flight, four times',
  outcome: 'all are delivered; no more come again than were in flight, with the same id and body',
  // An account gets a quarter of a dispatcher's slots, which are 1,024 at most. No time-out ends what hangs.
  longShape: { dispatchers: 4, env: { DELIVERY_SLOTS: '1024', WEBHOOK_TIMEOUT_SECONDS: '30' } },
  async run(world, { predictions, long }) {
    const wanted = Math.min(predictions, long ? 1_000 : deliveriesAtOnce)
    // A host gets eight at a time.
    const hosts = Array.from({ length: Math.ceil(wanted / 8) + (long ? 3 : 0) }, () =>
      world.receive({ hang: true }),
    )
    const receivers = await Promise.all(hosts)
    const urls = receivers.map(({ url }) => url)
    await gather(world, { urls, count: predictions })

    const kills = long ? 4 : 1
    for (let kill = 0; kill < kills; kill++) {
      await untilInFlight(receivers, wanted)
      world.fault('kill -9 of every dispatcher')
      await Promise.all(world.dispatchers.map((dispatcher) => dispatcher.kill()))
    }
    const { made: inFlight } = await triesOf(world, urls)
    for (const receiver of receivers) receiver.answerWith({})
    await world.untilQuiet(120_000)

    const ids = receivers.flatMap(({ requests }) => requests.map(({ headers }) => headers['webhook-id']))
    const again = ids.length - new Set(ids).size
    const { failed } = await triesOf(world, urls)
    if (again - failed > inFlight) throw new Error(`${inFlight} were in flight, and ${again} came again`)
    return { kills, in_flight: inFlight, again }
  },
}

/** Lets webhooks pile up while nobody sends them, so that as many as can be are sent at once. */
async function gather(world: World, { urls, count }: { urls: string[]; count: number }): Promise<void> {
  const fills = world.dispatchers.map((dispatcher) => dispatcher.vacate())
  await Promise.all(world.dispatchers.map((dispatcher) => dispatcher.kill()))
  const webhook = (nth: number) => ({ url: urls[nth % urls.length], events: ['succeeded'] })
  await createMany(world.client, {
    count,
    body: (nth) => ({ ...ordinary(world), webhook: webhook(nth) }),
  })
  await until(async () => (await world.db.pool.query('select from runs limit 1')).rowCount === 0, {
    within: 120_000,
    what: 'every prediction to end',
  })
  for (const fill of fills) fill()
}

/** Waits for so many more requests, none of which is answered. */
async function untilInFlight(receivers: Receiver[], count: number): Promise<void> {
  const received = () => receivers.reduce((sum, { requests }) => sum + requests.length, 0)
  const before = received()
  await until(() => received() >= before + count, { within: 120_000, what: `${count} deliveries in flight` })
}

/** How often these were tried, and how often in vain as far as a dispatcher lived to tell. */
async function triesOf({ db }: World, urls: string[]): Promise<{ made: number; failed: number }> {
  const { rows } = await db.pool.query<{ made: number; failed: number }>(
    `select coalesce(sum(attempt), 0)::integer as made,
            (select count(*) from deliveries of, jsonb_each(of.attempts) as made(nth, a)
             where of.url = any($1) and coalesce((a ->> 'status_code')::integer, 0) <> 200)::integer as failed
     from deliveries where url = any($1)`,
    [urls],
  )
  return rows[0] ?? { made: 0, failed: 0 }
}
