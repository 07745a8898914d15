import type { Aim } from '@millrace/hosts/host-watch'
import { type Claim, type Claimed, claimWithin } from '@millrace/lifecycle/claim'
import { newRotation, type Rotation } from '@millrace/lifecycle/pick'
import { createModelSlots } from './model-slots.ts'
import { ringFreed } from './ring-freed.ts'
import type { ServedModel, Worker } from './worker.ts'

/**
 * Claims as many runs of a model as have a slot, when its bell rings and again whenever a slot comes free, until a
 * claim comes back short: then nothing is waiting, and the next bell tells. A model's next claim waits for the one before,
 * so that the slots that come free meanwhile are filled together; but not for one whose connection fell silent.
 *
 * Of a model whose host is away nothing is claimed until somebody may find out whether it is back, unless a fallback may
 * take its runs. One that has too many runs under way in all workers together waits for the end of one of them.
 */
export function claimRuns(
  worker: Worker,
  start: (claim: Claim, model: ServedModel, aim: Aim) => Promise<void>,
): Claimer {
  const { config, lifecycle, models, queue, log, hosts } = worker
  const slots = createModelSlots(config.concurrency, models)
  const maybeWaiting = new Set<string>()
  /** Of each model, whose turn it is. */
  const rotations = new Map<string, Rotation>()
  const freed = ringFreed(worker, (name) => void wake(name))
  /** When the last claim of a model left that has not come back. */
  const claiming = new Map<string, number>()
  const underWay = new Set<Promise<unknown>>()
  const held = new Set<string>()
  const waitingForRoom = new Set<() => void>()
  let lookAgain: NodeJS.Timeout | undefined
  /** Models of which nothing can be claimed now, whatever waits: their host is away, or others run all that may run. */
  const barred = new Set<string>()
  const waitingForHost = new Map<string, NodeJS.Timeout>()
  hosts.onRecovery((host) => void wake(...namesOf(({ host: at }) => at === host)))
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
    const aim = model.host === undefined ? 'well' : await hosts.aim(model.host)
    const taken = await takeAimed(name, model, aim)
    if (aim === 'probe' && !taken && model.host !== undefined) await hosts.spare(model.host)
  }

  /** Answers whether there was a run to take. */
  async function takeAimed(name: string, model: ServedModel, aim: Aim): Promise<boolean> {
    if (stopped) return false
    if (aim === 'away' && model.description.fallbacks.length === 0) {
      waitForHost(name, model)
      return false
    }
    const now = performance.now()
    if (now - (claiming.get(name) ?? Number.NEGATIVE_INFINITY) < silentMs) {
      if (!lookAgain) lookAgain = setTimeout(feedLater, silentMs).unref()
      return false
    }
    const reserved = slots.reserve(name)
    if (reserved === 0) return false
    const limit = aim === 'probe' ? 1 : reserved
    // To the end of the line, so that a busy model leaves the slots that come free to others as well.
    maybeWaiting.delete(name)
    claiming.set(name, now)
    // Should its file change meanwhile, what was claimed still runs on the state that it was claimed for.
    const leave = model.enter()
    const { claims, full, more } = await tryClaim(name, model, limit, aim)
    if (claiming.get(name) === now) claiming.delete(name)
    slots.fill(name, reserved, claims.length)
    tellOfRoom()
    claimed += claims.length
    if (full) barred.add(name)
    else barred.delete(name)
    if ((claims.length === limit || more) && aim !== 'probe') maybeWaiting.add(name)
    for (const taken of claims) track(run(taken, model, aim))
    leave()
    // A bell of this model was not answered meanwhile, and one of another may have found its slots reserved.
    if (maybeWaiting.size > 0) void feed()
    return claims.length > 0
  }

  function waitForHost(name: string, { host = '' }: ServedModel): void {
    maybeWaiting.delete(name)
    barred.add(name)
    if (waitingForHost.has(name)) return
    const again = () => {
      waitingForHost.delete(name)
      void wake(name)
    }
    waitingForHost.set(name, setTimeout(again, hosts.secondsAway(host) * 1000).unref())
  }

  async function tryClaim(model: string, served: ServedModel, limit: number, aim: Aim): Promise<Claimed> {
    const { name: holder, leaseSeconds } = config
    try {
      const { claims: found, ...rest } = await track(
        claimWithin(lifecycle, {
          model,
          limit,
          worker: holder,
          leaseSeconds,
          // Nobody begins at a host that is known to be away.
          warm: aim !== 'away' && isWarm(served),
          once: served.description.rerun === 'never',
          places: served.places,
          rotation: rotationOf(model),
          except: freed.leftFrom(model),
        }),
      )
      const claims = found.filter(isNew)
      if (claims.length < found.length) maybeWaiting.add(model)
      queue.signal('changed', idsOf(claims))
      queue.signal('due', idsOf(claims.filter(({ owes }) => owes)))
      return { claims, ...rest }
    } catch (error) {
      log.warn({ err: error, model }, 'a claim failed')
      setTimeout(() => wake(model), retryMs).unref()
      return { claims: [], full: false, more: false }
    }
  }

  function rotationOf(model: string): Rotation {
    const known = rotations.get(model) ?? newRotation()
    rotations.set(model, known)
    return known
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

  async function run(taken: Claim, model: ServedModel, aim: Aim): Promise<void> {
    const leave = model.enter()
    await start(taken, model, aim)
    leave()
    held.delete(keyOf(taken))
    slots.release(model.description.namespace)
    leavePlaces(model)
    if (taken.limited) await freed.ended(taken.row.account_id)
    void feed()
    tellOfRoom()
  }

  /** Who waits for a place that came free is told, here and in other workers. */
  function leavePlaces({ places }: ServedModel): void {
    if (places.length === 0) return
    const left = new Set(places.map(({ name }) => name))
    for (const name of namesOf((model) => model.places.some((place) => left.has(place.name)))) {
      maybeWaiting.add(name)
      queue.ring(models.get(name)?.description.pool ?? '', name)
    }
  }

  const namesOf = (suits: (model: ServedModel) => boolean): string[] =>
    [...models].flatMap(([name, model]) => (suits(model) ? [name] : []))

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
    idleModels: () => slots.idle().filter((name) => !barred.has(name)),
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
  /** The models of which one more run could begin here and now. */
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
