import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFailed, test } from 'vitest'
import { scenarios } from './all.ts'
import { play, playIn } from './play.ts'
import type { QueueKind, Scenario, Size } from './scenario.ts'
import { startWorld, type World } from './world.ts'

/** The faults as tests: each once and small, in one world where the usual shape will do. */
export function testFaults(queue: QueueKind): void {
  const seed = Date.now() % 1_000_000
  let folder: string
  let world: World
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), `millrace-faults-${queue}-`))
    world = await startWorld({ queue, seed, folder: join(folder, 'usual') })
  })
  afterAll(() => world?.close())

  const here = scenarios.filter(
    ({ queues, shortOn, longOnly }) =>
      !longOnly && (queues?.includes(queue) ?? true) && (shortOn ?? queue) === queue,
  )
  test.each(here)('$fault: $outcome', { timeout: 120_000 }, async (scenario) => {
    // A test that runs out of time says nothing of what it looked at.
    onTestFailed(() => console.info(`seed ${seed}: npm run faults -- ${wayBack(scenario, queue, seed)}`))
    const outcome = scenario.shape
      ? await play(scenario, { queue, seed, size, folder })
      : await playIn(world, scenario, size)
    expect(outcome.breaches, `seed ${seed}, history in ${outcome.history}`).toEqual([])
  })
}

/** How to do the same at length, with the same choices. */
function wayBack({ name }: Scenario, queue: QueueKind, seed: number): string {
  return `--only ${name} --queue ${queue} --seed ${seed} --predictions 600`
}

const size: Size = { predictions: 60, long: false }
