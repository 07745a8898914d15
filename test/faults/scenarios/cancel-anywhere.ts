import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { isTerminal, type Status } from '@millrace/contract/statuses'
import { fromTypeId, toTypeId } from '@millrace/database/ids'
import { startReceiver } from '../../harness/receiver.ts'
import { until } from '../../harness/wait.ts'
import { type CreateBody, cancel, createSurely } from '../load.ts'
import { type Notes, openNotes } from '../notes.ts'
import type { Figures, Scenario } from '../scenario.ts'
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
      const aborts = await abortsOf(world, notes, long ? 100 : 6)
      const deaf = await abortsWhileDeaf(world, notes, long ? 16 : 4)
      await world.untilQuiet()
      const figures = { ...hits, abortP95Ms: percentile(aborts, 0.95), deafAbortMs: Math.max(...deaf) }
      if (long && figures.abortP95Ms > 250) throw new Error(`aborts took ${figures.abortP95Ms} ms at p95`)
      const renewalMs = (world.leaseSeconds * 1000) / 3
      // Sixteen at random moments between two renewals are not all next to the second one.
      if (long && figures.deafAbortMs < renewalMs / 4)
        throw new Error(`an abort took no more than ${figures.deafAbortMs} ms: the broadcast was not down`)
      if (long && figures.deafAbortMs > renewalMs + 250)
        throw new Error(`without the broadcast an abort took ${figures.deafAbortMs} ms`)
      return figures
    } finally {
      await notes.remove()
    }
  },
}

/**
 * Cancels until each status was met `times` times: always in one that was met too seldom, as the prediction is seen to
 * be in it, and a moment later that nobody chose. In which status it was met its own events tell. What was cancelled is
 * cancelled once more.
 */
async function cancelInEveryStatus(world: World, notes: Notes, times: number): Promise<Figures> {
  const hits: Hits = { pending: 0, starting: 0, processing: 0, succeeded: 0, failed: 0, cancelled: 0 }
  const missing = () => aims.filter((aim) => hits[aim] < times)
  // Between a claim and a begin are only statements; a file that is slow to come makes a moment that can be met.
  const slowFile = await startReceiver({ afterMs: 200, body: 'a file' })
  const met: Met[] = []
  let tries = 0
  async function meet(): Promise<void> {
    for (let wanted = missing(); wanted.length > 0; wanted = missing()) {
      if (tries > times * 40) throw new Error(`cancels met ${JSON.stringify(hits)} only`)
      const aim = world.random.pick(wanted)
      const races = aim === 'processing' && world.random.below(2) === 0
      const body = bodyFor(notes, aim, { name: `${aim}-${++tries}`, races, file: slowFile.url })
      const one = { ...(await cancelIn(world, body, aim)), races }
      met.push(one)
      hits[one.status]++
      if (!isTerminal(one.status) && hits.cancelled < times) hits[await cancelAgain(world, one.id)]++
    }
  }
  try {
    await Promise.all(Array.from({ length: 8 }, meet))
    await world.untilQuiet()
  } finally {
    await slowFile.close()
  }
  return { ...hits, cameTooLate: await judgeEnds(world, met) }
}

/** One that comes to that moment, and does not leave it for an end of its own before a cancel could stop it. */
function bodyFor(notes: Notes, aim: Aim, { name, races, file }: Wish): CreateBody {
  if (aim === 'failed') return { model: 'echo', input: { word: randomUUID(), fail: 'as it was asked to' } }
  const body = notes.body(name, aim === 'succeeded' ? 10 : races ? 150 : endlessMs)
  if (aim === 'starting') body.input.file = file
  return body
}

async function cancelIn(world: World, body: CreateBody, aim: Aim): Promise<Omit<Met, 'races'>> {
  const { webhook } = ordinary(world)
  const id = await createSurely(world.client, { ...body, webhook }, `key-${randomUUID()}`)
  if (!id) throw new Error('A create was refused')
  // It waits from the first, and not for long.
  const before = aim === 'pending' ? undefined : await untilAt(world, id, aim)
  await delay(world.random.below(within[aim]))
  if (before && isTerminal(before.status)) return { id, status: await cancelEnded(world, id, before) }

  const shown = await cancelOnce(world, id)
  const after = await stateOf(world, id)
  const isEnd = shown === after.status && isTerminal(after.status)
  if (!isEnd && !after.cancelRequested)
    throw new Error(`${id} was shown ${shown} and is ${after.status}, not cancelled`)
  const status = metIn(after)
  if (status === 'pending' && shown !== 'cancelled')
    throw new Error(`${id} waited when it was cancelled, and was shown ${shown}`)
  return { id, status }
}

/** What a cancel stopped, or came too late for, is cancelled again when it has ended. Answers how it ended. */
async function cancelAgain(world: World, id: string): Promise<Status> {
  return cancelEnded(world, id, await untilAt(world, id, 'cancelled'))
}

/** A cancel of what has ended is answered with the end and changes nothing. */
async function cancelEnded(world: World, id: string, before: State): Promise<Status> {
  const shown = await cancelOnce(world, id)
  const after = await stateOf(world, id)
  if (shown !== before.status || !isDeepStrictEqual(after, before))
    throw new Error(`${id} was ${before.status}; a cancel was answered ${shown} and left it ${after.status}`)
  return before.status
}

/** Waits until it is in that status or further. */
function untilAt(world: World, id: string, status: Status): Promise<State> {
  return until(
    async () => {
      const state = await stateOf(world, id)
      return stepOf(state.status) >= stepOf(status) && state
    },
    { within: 60_000, what: `${id} to be ${status}` },
  )
}

async function cancelOnce(world: World, id: string): Promise<Status> {
  const { status, shown } = await cancel(world.client, id)
  if (status !== 200 || !shown) throw new Error(`the cancel of ${id} was answered with ${status}`)
  return shown
}

/** The status that a cancel met: the one before the end that it made, or the end that was there before it. */
function metIn({ cancelRequested, status, told }: State): Status {
  if (!cancelRequested) return status
  return told.at(isTerminal(status) ? -2 : -1) ?? 'pending'
}

/**
 * Whatever a cancel met before its end is cancelled, unless its model was about to be done when the cancel came. Answers
 * how many of these succeeded.
 */
async function judgeEnds({ db }: World, met: Met[]): Promise<number> {
  const { rows } = await db.pool.query<{ id: string; status: Status }>(
    'select id, status from predictions where id = any($1::uuid[])',
    [met.map(({ id }) => fromTypeId('pred', id))],
  )
  const ends = new Map(rows.map(({ id, status }) => [toTypeId('pred', id), status]))
  let cameTooLate = 0
  for (const { id, status, races } of met.filter((one) => !isTerminal(one.status))) {
    const end = ends.get(id)
    const mayWin = races && status === 'processing' && end === 'succeeded'
    if (mayWin) cameTooLate++
    else if (end !== 'cancelled') throw new Error(`${id} was ${status} when it was cancelled, and is ${end}`)
  }
  return cameTooLate
}

async function stateOf({ db }: World, id: string): Promise<State> {
  const { rows } = await db.pool.query<State>(
    `select status, cancel_requested_at is not null as "cancelRequested",
            array(select data::json ->> 'status' from prediction_events e
                  where e.prediction_id = p.id and kind = 'status' order by seq) as told
     from predictions p where id = $1`,
    [fromTypeId('pred', id)],
  )
  const [state] = rows
  if (!state) throw new Error(`${id} is gone`)
  return state
}

/** How far a prediction is; every end is as far. */
function stepOf(status: Status): number {
  return isTerminal(status) ? 3 : ['pending', 'starting', 'processing'].indexOf(status)
}

const aims = ['pending', 'starting', 'processing', 'succeeded', 'failed'] as const

/** How long after a prediction was seen in a status it is cancelled at most, in milliseconds. */
const within: Record<Aim, number> = { pending: 5, starting: 150, processing: 100, succeeded: 5, failed: 5 }

/** Longer than a cancel may take by any way, the broadcast lost and the grace over. */
const endlessMs = 10_000

type Aim = (typeof aims)[number]

type Hits = Record<Status, number>

/** What a cancel met. */
interface Met {
  id: string
  status: Status
  /** Its model was about to be done by then. */
  races: boolean
}

interface Wish {
  name: string
  races: boolean
  file: string
}

interface State {
  status: Status
  cancelRequested: boolean
  /** The statuses that its events told, in order. */
  told: Status[]
}
