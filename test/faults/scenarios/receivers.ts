import { fromTypeId } from '@millrace/database/ids'
import type { Receiver } from '../../harness/receiver.ts'
import { until } from '../../harness/wait.ts'
import { openEndpoint } from '../endpoint.ts'
import { createMany } from '../load.ts'
import type { Scenario } from '../scenario.ts'
import { skipWaits, type Wait } from '../skip-waits.ts'
import { ordinary, type World } from '../world.ts'
import { type Behaviour, behaviours } from './receiver-behaviours.ts'

/**
 * The schedule takes three days. What is skipped here are its waits alone: each is measured when it begins, and then
 * the delivery is due.
 */
export const receivers: Scenario = {
  name: 'receivers',
  shortOn: 'postgres',
  fault:
    'receivers that answer 500 three times, hang, send elsewhere, are gone, ask for patience or are dead for a day',
  outcome: 'each is tried again by the schedule, with the same id and body, signed anew',
  async run(world, { predictions, long }) {
    const elsewhere = await world.receive({})
    const targets = await openTargets(world, elsewhere.url, long ? 10 : 1)
    const gone = await openEndpoint(world, { events: ['prediction.succeeded'], answer: { status: 410 } })
    world.fault('receivers that do not simply take what comes')

    const sent = targets.reduce((sum, { behaviour }) => sum + behaviour.each, 0)
    const others = createMany(world.client, {
      count: Math.max(predictions - sent, 20),
      ...(!long && { perSecond: 10 }),
      body: () => ordinary(world),
    })
    const fed = Promise.all(targets.map((target) => feed(world, target)))
    const [waits] = await Promise.all([followWaits(world, targets), fed, others, gone.untilDisabled()])
    await world.untilQuiet()
    await gone.remove()

    for (const target of targets) await check(world, target, waits)
    if (elsewhere.requests.length > 0) throw new Error('A redirect was followed')
    const perDelivery = [...Map.groupBy(waits, ({ id }) => id).values()]
    const longest = Math.max(...perDelivery.map((own) => own.reduce((sum, { seconds }) => sum + seconds, 0)))
    return { retries: waits.length, 'hours skipped': longest / 3600 }
  },
}

async function openTargets(world: World, elsewhere: string, hosts: number): Promise<Target[]> {
  const open = async (behaviour: Behaviour): Promise<Target> => {
    const copies = new Map<string, number>()
    const receiver = await world.receive(({ headers }) => {
      const id = String(headers['webhook-id'])
      const copy = copies.get(id) ?? 0
      copies.set(id, copy + 1)
      return behaviour.answers[copy] ?? {}
    })
    return { behaviour, receiver }
  }
  const all = behaviours(elsewhere)
  return Promise.all(all.flatMap((one) => Array.from({ length: hosts }, () => open(one))))
}

async function feed(world: World, { behaviour, receiver }: Target): Promise<void> {
  const webhook = { url: receiver.url, events: behaviour.events ?? ['completed'] }
  await createMany(world.client, {
    count: behaviour.each,
    atOnce: 2,
    body: () => ({ ...ordinary(world), webhook }),
  })
}

/** Follows what is sent to the targets to its end, skipping every wait. Answers the waits. */
async function followWaits(world: World, targets: Target[]): Promise<Wait[]> {
  const urls = targets.map(({ receiver }) => receiver.url)
  const waits: Wait[] = []
  const owed = targets.reduce((sum, { behaviour }) => sum + behaviour.each, 0)
  await until(
    async () => {
      waits.push(...(await skipWaits(world.db, urls)))
      const { rows } = await world.db.pool.query<{ ended: number }>(
        `select count(distinct prediction_id)::integer as ended from deliveries d
         where url = any($1) and event = 'prediction.succeeded' and completed_at is not null`,
        [urls],
      )
      return (rows[0]?.ended ?? 0) >= owed
    },
    { within: 180_000, what: 'every delivery to come to its end' },
  )
  return waits
}

/** Whether the deliveries to one target were tried and ended as its behaviour asks for. */
async function check({ db }: World, { behaviour, receiver }: Target, waits: Wait[]): Promise<void> {
  const { name, state = 'delivered', waits: expected = [] } = behaviour
  const { rows } = await db.pool.query<{ id: string; event: string; state: string; attempts: string[] }>(
    `select d.id, d.event, d.state, array(select extract(epoch from (a ->> 'at')::timestamptz)::text
                                          from jsonb_each(attempts) as made(nth, a) order by nth::integer) as attempts
     from deliveries d where url = $1`,
    [receiver.url],
  )
  const arrived = Map.groupBy(receiver.requests, ({ headers }) =>
    fromTypeId('msg', String(headers['webhook-id'])),
  )
  for (const row of rows) {
    const told = `"${name}": ${row.id} (${row.event})`
    const own = waits.filter(({ id }) => id === row.id)
    if (row.state !== state) throw new Error(`${told} is ${row.state}`)
    if (own.length !== expected.length) throw new Error(`${told} waited ${own.length} times`)
    for (const [nth, [least, most]] of expected.entries()) {
      const seconds = own[nth]?.seconds ?? 0
      if (seconds < least - clockOff || seconds > most + slack) throw new Error(`${told} waited ${seconds} s`)
    }
    const times = (arrived.get(row.id) ?? []).map(({ headers }) => Number(headers['webhook-timestamp']))
    if (times.length !== row.attempts.length) throw new Error(`${told} arrived ${times.length} times`)
    for (const [nth, at] of row.attempts.entries()) {
      const off = Number(at) - (times[nth] ?? 0)
      if (off < 0 || off > 2) throw new Error(`${told} says in attempt ${nth + 1} a time ${off} s off`)
    }
  }
}

/**
 * A result is written some time after the attempt that it is of, and a wait begins when it is. How long a wait is by
 * itself webhook-schedule.test.ts bounds without any slack.
 */
const slack = 5

/** Seconds. An attempt is dated by the dispatcher's idea of the database's clock, a wait by that clock. */
const clockOff = 0.1

interface Target {
  behaviour: Behaviour
  receiver: Receiver
}
