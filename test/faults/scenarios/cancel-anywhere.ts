import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { fromTypeId } from '@millrace/database/ids'
import { startReceiver } from '../../harness/receiver.ts'
import { until } from '../../harness/wait.ts'
import { type CreateBody, cancel, createSurely } from '../load.ts'
import { type Notes, openNotes } from '../notes.ts'
import type { Scenario } from '../scenario.ts'
import { ordinary, type World } from '../world.ts'
import { abortsOf, abortsWhileDeaf, percentile } from './cancelled-models.ts'

export const cancelAnywhere: Scenario = {
  name: 'cancel-anywhere',
  fault: 'cancels at random moments in every status, and with the broadcast down',
  outcome:
    'the answer agrees with what the prediction becomes; a model on another machine is aborted in p95 <= 250 ms, without the broadcast within one renewal of its lease',
  async run(world, { long }) {
    const notes = await openNotes()
    try {
      const hits = await cancelInEveryStatus(world, notes, long ? 200 : 8)
      await world.untilQuiet()
      const aborts = await abortsOf(world, notes, long ? 100 : 6)
      const deaf = await abortsWhileDeaf(world, notes, long ? 16 : 4)
      await world.untilQuiet()
      const figures = { ...hits, abortP95Ms: percentile(aborts, 0.95), deafAbortMs: Math.max(...deaf) }
      if (long && figures.abortP95Ms > 250) throw new Error(`aborts took ${figures.abortP95Ms} ms at p95`)
      const renewalMs = (world.leaseSeconds * 1000) / 3
      if (long && figures.deafAbortMs > renewalMs + 250)
        throw new Error(`without the broadcast an abort took ${figures.deafAbortMs} ms`)
      return figures
    } finally {
      await notes.remove()
    }
  },
}

/**
 * Cancels until each status was met `times` times: always in the one that was met least, as the prediction is seen to
 * be in it, and a moment later that nobody chose. In which status it was met its own events tell.
 */
async function cancelInEveryStatus(world: World, notes: Notes, times: number): Promise<Hits> {
  const hits: Hits = { pending: 0, starting: 0, processing: 0, terminal: 0 }
  const missing = () => moments.filter((moment) => hits[moment] < times)
  // Between a claim and a begin are only statements; a file that is slow to come makes a moment that can be met.
  const slowFile = await startReceiver({ afterMs: 200, body: 'a file' })
  let tries = 0
  async function meet(): Promise<void> {
    for (let wanted = missing(); wanted.length > 0; wanted = missing()) {
      if (tries > times * 40) throw new Error(`cancels met ${JSON.stringify(hits)} only`)
      const moment = world.random.pick(wanted)
      const body = notes.body(`${moment}-${++tries}`, 150)
      if (moment === 'starting') body.input.file = slowFile.url
      const met = await cancelIn(world, body, moment)
      hits[met]++
    }
  }
  try {
    await Promise.all(Array.from({ length: 8 }, meet))
  } finally {
    await slowFile.close()
  }
  return hits
}

async function cancelIn(world: World, body: CreateBody, moment: Moment): Promise<Moment> {
  const { webhook } = ordinary(world)
  const id = await createSurely(world.client, { ...body, webhook }, `key-${randomUUID()}`)
  if (!id) throw new Error('A create was refused')
  await until(async () => moments.indexOf((await stateOf(world, id)).moment) >= moments.indexOf(moment), {
    within: 60_000,
    what: `${id} to be ${moment}`,
  })
  await delay(world.random.below(within[moment]))
  const { status, shown } = await cancel(world.client, id)
  if (status !== 200 || !shown) throw new Error(`the cancel of ${id} was answered with ${status}`)

  const after = await stateOf(world, id)
  const isEnd = shown === after.status && after.moment === 'terminal'
  if (!isEnd && !after.cancelRequested)
    throw new Error(`${id} was shown ${shown} and is ${after.status}, not cancelled`)
  return metIn(after)
}

/** The status that a cancel met: the one before the end that it made, or the end that was there before it. */
function metIn({ cancelRequested, moment, told }: State): Moment {
  if (!cancelRequested) return 'terminal'
  const last = told.at(moment === 'terminal' ? -2 : -1)
  return moments.find((one) => one === last) ?? 'pending'
}

async function stateOf({ db }: World, id: string): Promise<State> {
  const { rows } = await db.pool.query(
    `select status, cancel_requested_at is not null as "cancelRequested", completed_at is not null as ended,
            (select array_agg(data::json ->> 'status' order by seq) from prediction_events e
             where e.prediction_id = p.id and kind = 'status') as told
     from predictions p where id = $1`,
    [fromTypeId('pred', id)],
  )
  const { ended, ...row } = rows[0]
  return { ...row, moment: ended ? 'terminal' : row.status }
}

const moments = ['pending', 'starting', 'processing', 'terminal'] as const

/** How long after a prediction was seen in a status it is cancelled at most, in milliseconds. */
const within: Record<Moment, number> = { pending: 5, starting: 150, processing: 100, terminal: 5 }

type Moment = (typeof moments)[number]

type Hits = Record<Moment, number>

interface State {
  status: string
  moment: Moment
  cancelRequested: boolean
  /** The statuses that its events told, in order. */
  told: string[]
}
