import { fileFields, replaceFiles } from '@millrace/models/file-fields'
import { type Callback, leavesJob } from '../provider.ts'
import { type CogHost, createCogHost } from './cog-host.ts'
import { openInbox } from './cog-inbox.ts'
import { CancelledThere, isOver, type Snapshot } from './cog-snapshot.ts'
import { follow } from './cog-stream.ts'
import { createTold, type Told } from './cog-told.ts'
import { Unavailable } from './faults.ts'
import type { Call, Kind } from './open-remote.ts'
import { addressOf } from './rehost.ts'

/**
 * A Cog container. It has no queue and forgets a prediction in the moment that it ends, and a prediction lives as long
 * as the connection that asked for it, unless it was asked for in the background. So a run is one of these:
 *
 * - in the background, when there is a callback: the container reports each step to it. Such a run survives its worker.
 * - over a stream of events, when there is no callback, or none comes.
 * - over one plain request, when the model cannot stream.
 *
 * Its name there is ours, so that it can be cancelled and taken up: a PUT of a name that is in flight begins nothing. A
 * PUT of one that has ended begins it anew, and nobody can tell beforehand, so a model with `rerun: never` runs over a
 * connection only, and is not taken up.
 */
export const cog: Kind<'cog'> = {
  wants: 'addresses',
  async perform(call) {
    const input = await withAddresses(call)
    const host = createCogHost(call, input)
    const run: CogRun = { call, host, told: createTold(call) }
    try {
      return ((await takenUp(run)) ?? (await begun(run))).output
    } catch (error) {
      await afterFault(run, error)
      throw error
    }
  },
}

/** What an earlier attempt began, if it can be had. */
async function takenUp(run: CogRun): Promise<Made | undefined> {
  const { call, host } = run
  const id = call.job?.id
  if (typeof id !== 'string') return undefined
  if (call.description.rerun === 'never') {
    throw new Unavailable(
      'An earlier attempt was at work in the container, which does not tell what became of it.',
      { uncertain: true },
    )
  }
  try {
    const end = await reportedEnd(run, id)
    if (end) return end
    const made = call.known.streams === false ? undefined : await streamed(run, id)
    if (made) return made
    if (call.callback && call.known.callsBack !== false) return await inBackground(run, id, call.callback)
  } catch (error) {
    // It went with its worker, and the container was still busy with letting it go.
    if (!(error instanceof CancelledThere) || call.signal.aborted) throw error
  }
  await host.cancel(id)
  return undefined
}

/** What the container reported of the end while no worker listened: it has forgotten the prediction since. */
async function reportedEnd({ call, told }: CogRun, id: string): Promise<Made | undefined> {
  if (!call.callback || call.known.callsBack === false) return undefined
  const inbox = openInbox(call.callback, id, () => {})
  try {
    const until = performance.now() + storedWithinMs
    for (let leftMs = storedWithinMs; leftMs > 0; leftMs = until - performance.now()) {
      const snapshot = await inbox.next(leftMs, call.signal)
      if (snapshot && isOver(snapshot)) return { output: await told.end(snapshot) }
      if (snapshot) await told.see(snapshot)
    }
    return undefined
  } finally {
    inbox.close()
  }
}

async function begun(run: CogRun): Promise<Made> {
  const { call } = run
  const id = `${call.id}-${call.attempt}`
  const isRepeatable = call.description.rerun !== 'never'
  if (call.callback && isRepeatable && call.known.callsBack !== false) {
    await call.keep?.({ id })
    return inBackground(run, id, call.callback).catch((error) => orForget(run, error))
  }
  if (isRepeatable) return connected(run, id)
  // It goes with its connection, so that there is nothing to take up, but it counts that it was begun.
  await call.keep?.({ id })
  return connected(run, id).catch((error) => orForget(run, error))
}

/** A run that was turned away has nothing to take up. */
async function orForget({ call, host }: CogRun, error: unknown): Promise<never> {
  const isRefused = error instanceof Unavailable && !error.about.uncertain && !host.accepted
  if (isRefused && !call.signal.aborted) await call.keep?.({})
  throw error
}

async function connected(run: CogRun, id: string): Promise<Made> {
  const made = run.call.known.streams === false ? undefined : await streamed(run, id)
  return made ?? waitedFor(run, id)
}

/** Nothing where the model does not stream, or no more from the beginning. */
async function streamed({ call, host, told }: CogRun, id: string): Promise<Made | undefined> {
  const end = await follow(host.questionFor(id, { accept: 'text/event-stream' }), { call, host, told })
  return end && { output: await told.end(end) }
}

async function waitedFor({ host, told, call }: CogRun, id: string): Promise<Made> {
  const stop = host.readySoon(told)
  try {
    const answer = await call.ask({ ...host.questionFor(id), patient: true })
    return { output: await told.end(await host.read(answer)) }
  } finally {
    stop()
  }
}

/** The container reports. When it keeps silent it is asked, and where it cannot be asked it starts over. */
async function inBackground(run: CogRun, id: string, callback: Callback): Promise<Made> {
  const { call, host, told } = run
  const { known } = call
  const inbox = openInbox(callback, id, () => {
    known.callsBack = true
  })
  try {
    let snapshot: Snapshot | undefined = await host.submit(id, callback.url)
    for (;;) {
      if (snapshot && isOver(snapshot)) return { output: await told.end(snapshot) }
      if (snapshot) await told.see(snapshot)
      const quiet = inbox.hasHeard() ? call.timeoutMs : call.timeoutMs / 4
      snapshot = await inbox.next(quiet, call.signal)
      if (snapshot) continue
      known.callsBack ??= false
      const made = known.streams === false ? undefined : await streamed(run, id)
      if (made) return made
      if (known.callsBack) snapshot = await host.submit(id, callback.url)
      // Where it is new it had ended, and the report of that is lost.
      if (!snapshot || isNew(snapshot)) break
    }
    known.callsBack = false
    await host.cancel(id)
    return await connected(run, id)
  } finally {
    inbox.close()
  }
}

/** The answer to a name that was not in flight; a snapshot of one that is has more to say. */
function isNew({ status, logs }: Snapshot): boolean {
  return status === 'starting' && logs === undefined
}

/** A container that is left with a run nobody wants would work on, and keep its slot. */
async function afterFault({ call, host }: CogRun, error: unknown): Promise<void> {
  const isLeft = leavesJob(call.signal) || (error instanceof Unavailable && !call.signal.aborted)
  if (host.atWork !== undefined && !isLeft) await host.cancel(host.atWork)
  if (error instanceof Unavailable && error.about.down) call.known.ready = false
}

/** The container fetches URLs itself; a file that is here only goes along. */
async function withAddresses({ input, description }: Call<'cog'>): Promise<Record<string, unknown>> {
  const replacements = fileFields(description.input_schema, input).map(async ({ path, url }) => ({
    path,
    value: await addressOf(url),
  }))
  return replaceFiles(input, await Promise.all(replacements))
}

interface CogRun {
  call: Call<'cog'>
  host: CogHost
  told: Told
}

/** Time for what was stored to be read. A second of waiting is cheaper than a second run. */
const storedWithinMs = 1_000

/** An output that there is, whatever it is. */
interface Made {
  output: unknown
}
