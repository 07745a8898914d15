import { type Claim, claim } from '@millrace/lifecycle/claim'
import { createModelSlots } from './model-slots.ts'
import type { ServedModel, Worker } from './worker.ts'

/**
 * Claims as many runs of a model as have a slot, when its bell rings and again whenever a slot comes free, until a
 * claim comes back short: then nothing is waiting, and the next bell tells. A model's next claim waits for the one before,
 * so that the slots that come free meanwhile are filled together; but not for one whose connection fell silent.
 */
export function claimRuns(
  worker: Worker,
  start: (claim: Claim, model: ServedModel) => Promise<void>,
): Claimer {
  const { config, lifecycle, models, queue, log } = worker
  const slots = createModelSlots(config.concurrency, models)
  const maybeWaiting = new Set<string>()
  /** When the last claim of a model left that has not come back. */
  const claiming = new Map<string, number>()
  const underWay = new Set<Promise<unknown>>()
  const held = new Set<string>()
  const waitingForRoom = new Set<() => void>()
  let lookAgain: NodeJS.Timeout | undefined
  let stopped = false
  let claimed = 0

  async function feed(): Promise<void> {
    await Promise.all([...maybeWaiting].map(take))
  }

  function feedLater(): void {
    lookAgain = undefined
    void feed()
  }

  async function take(name: string): Promise<void> {
    const model = models.get(name)
    if (!model) maybeWaiting.delete(name)
    if (stopped || !model) return
    const now = performance.now()
    if (now - (claiming.get(name) ?? Number.NEGATIVE_INFINITY) < silentMs) {
      if (!lookAgain) lookAgain = setTimeout(feedLater, silentMs).unref()
      return
    }
    const limit = slots.reserve(name)
    if (limit === 0) return
    // To the end of the line, so that a busy model leaves the slots that come free to others as well.
    maybeWaiting.delete(name)
    claiming.set(name, now)
    // Should its file change meanwhile, what was claimed still runs on the state that it was claimed for.
    const leave = model.enter()
    const claims = await tryClaim(name, model, limit)
    if (claiming.get(name) === now) claiming.delete(name)
    slots.fill(name, limit, claims.length)
    tellOfRoom()
    claimed += claims.length
    if (claims.length === limit) maybeWaiting.add(name)
    for (const taken of claims) track(run(taken, model))
    leave()
    // A bell of this model was not answered meanwhile, and one of another may have found its slots reserved.
    if (maybeWaiting.size > 0) void feed()
  }

  async function tryClaim(model: string, served: ServedModel, limit: number): Promise<Claim[]> {
    const { name: holder, leaseSeconds } = config
    try {
      const found = await track(
        claim(lifecycle, { model, limit, worker: holder, leaseSeconds, warm: isWarm(served) }),
      )
      const claims = found.filter(isNew)
      if (claims.length < found.length) maybeWaiting.add(model)
      queue.signal('changed', idsOf(claims))
      queue.signal('due', idsOf(claims.filter(({ owes }) => owes)))
      return claims
    } catch (error) {
      log.warn({ err: error, model }, 'a claim failed')
      setTimeout(() => wake(model), retryMs).unref()
      return []
    }
  }

  /**
   * A claim whose connection broke asks what is its own by now, and cannot tell that from what another claim of this
   * process took meanwhile: the attempt is the same. One of the two runs it.
   */
  function isNew(taken: Claim): boolean {
    const key = keyOf(taken)
    const known = held.has(key)
    held.add(key)
    return !known
  }

  async function run(taken: Claim, model: ServedModel): Promise<void> {
    const leave = model.enter()
    await start(taken, model)
    leave()
    held.delete(keyOf(taken))
    slots.release(model.description.namespace)
    void feed()
    tellOfRoom()
  }

  function track<T>(work: Promise<T>): Promise<T> {
    const settled: Promise<unknown> = work.then(
      () => underWay.delete(settled),
      () => underWay.delete(settled),
    )
    underWay.add(settled)
    return work
  }

  const hasRoom = () => stopped || slots.busy() < config.concurrency

  function tellOfRoom(): void {
    if (!hasRoom()) return
    for (const resolve of waitingForRoom) resolve()
    waitingForRoom.clear()
  }

  async function wake(...names: string[]): Promise<void> {
    for (const name of names) if (models.has(name)) maybeWaiting.add(name)
    await feed()
  }

  return {
    wake,
    busy: () => slots.busy(),
    idleModels: () => slots.idle(),
    claimed: () => claimed,
    async room() {
      if (!hasRoom()) await new Promise<void>((resolve) => waitingForRoom.add(resolve))
    },
    stop() {
      stopped = true
      tellOfRoom()
    },
    async idle() {
      while (underWay.size > 0) await Promise.all(underWay)
    },
  }
}

/** Whether a run begins as soon as it is claimed. */
const isWarm = ({ provider, takesFiles }: ServedModel): boolean => provider.warm() && !takesFiles

const idsOf = (claims: Claim[]): string[] => claims.map(({ id }) => id)

const keyOf = ({ id, attempt }: Claim): string => `${id} ${attempt}`

const retryMs = 1_000

/** A claim takes a few milliseconds. One that has been away for so long holds up no other. */
const silentMs = 250

export interface Claimer {
  /** These models may have something to claim; ones that are not served here are ignored. */
  wake(...models: string[]): Promise<void>
  busy(): number
  /** The models of which one more run could begin here. */
  idleModels(): string[]
  /** How many runs were claimed so far. */
  claimed(): number
  /** Resolves when this process has a slot for one more run, or claims no more. */
  room(): Promise<void>
  /** Claims no more. What a claim that is under way brings still runs. */
  stop(): void
  /** Resolves when no run is under way. */
  idle(): Promise<void>
}
