import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { figuresOf } from './figures.ts'
import type { Figures, QueueKind, Scenario, Size } from './scenario.ts'
import { startWorld, type World } from './world.ts'

/** Runs a scenario in a world of its own and judges it. A history without a breach is removed. */
export async function play(scenario: Scenario, { queue, seed, size, folder }: PlayOptions): Promise<Outcome> {
  const kept = join(folder, `${scenario.name}-${queue}`)
  const shape = (size.long && scenario.longShape) || scenario.shape
  const world = await startWorld({
    queue,
    seed,
    folder: kept,
    ...(shape && { shape }),
  })
  let sound = false
  try {
    const outcome = await playIn(world, scenario, size)
    sound = outcome.breaches.length === 0
    return outcome
  } finally {
    await world.close()
    if (sound) await rm(kept, { recursive: true, force: true })
  }
}

/** Runs a scenario in a world that others used before, and judges all that happened in it so far. */
export async function playIn(world: World, scenario: Scenario, size: Size): Promise<Outcome> {
  const from = world.history.entries.length
  const breaches: string[] = []
  let figures: Figures = {}
  try {
    figures = await scenario.run(world, size)
  } catch (error) {
    breaches.push(inWords(error))
  }
  breaches.push(...(await world.judge().catch((error) => [inWords(error)])))
  const { entries, file } = world.history
  return { breaches, figures: { ...figuresOf(entries.slice(from)), ...figures }, history: file }
}

function inWords(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause ? `${error.message} (${error.cause})` : error.message
}

interface PlayOptions {
  queue: QueueKind
  seed: number
  size: Size
  /** Below which the history and the logs of a broken promise are kept. */
  folder: string
}

export interface Outcome {
  /** Empty when every promise held. */
  breaches: string[]
  /** What its history tells, and what the scenario measured. */
  figures: Figures
  history: string
}
