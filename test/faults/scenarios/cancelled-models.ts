import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { until } from '../../harness/wait.ts'
import { cancel, createSurely } from '../load.ts'
import type { Notes } from '../notes.ts'
import type { World } from '../world.ts'

/** How long it takes from each cancel until the model notes that it is aborted, in milliseconds. */
export async function abortsOf(world: World, notes: Notes, count: number): Promise<number[]> {
  const took: number[] = []
  while (took.length < count) {
    const runs = await startRuns(world, notes, Math.min(8, count - took.length))
    took.push(...(await Promise.all(runs.map((run) => cancelAndTime(world, notes, run)))))
  }
  return took
}

/** The same while the workers hear nothing of what is broadcast, at moments spread over the time between two renewals. */
export async function abortsWhileDeaf(world: World, notes: Notes, count: number): Promise<number[]> {
  const runs = await startRuns(world, notes, count)
  const renewalMs = (world.leaseSeconds * 1000) / 3
  for (const { name, redis, postgres } of world.workers) {
    world.fault(`${name} no longer hears the broadcast`)
    if (redis) redis.set('black-hole')
    else postgres.set('deaf')
  }
  try {
    return await Promise.all(
      runs.map(async (run) => {
        await delay(world.random.below(renewalMs))
        return cancelAndTime(world, notes, run)
      }),
    )
  } finally {
    for (const { redis, postgres } of world.workers) {
      redis?.set('none')
      postgres.set('none')
    }
  }
}

/** The value that the given share of `values` does not exceed. */
export function percentile(values: number[], share: number): number {
  return values.toSorted((a, b) => a - b)[Math.ceil(values.length * share) - 1] ?? 0
}

async function startRuns(world: World, notes: Notes, count: number): Promise<Run[]> {
  const runs = await Promise.all(
    Array.from({ length: count }, async () => {
      const name = randomUUID()
      const id = await createSurely(world.client, notes.body(name, 120_000), `key-${name}`)
      if (!id) throw new Error('A create was refused')
      return { name, id }
    }),
  )
  for (const { name } of runs) await noted(notes, name, 'begun')
  return runs
}

async function cancelAndTime(world: World, notes: Notes, { name, id }: Run): Promise<number> {
  const asked = Date.now()
  const { status } = await cancel(world.client, id)
  if (status !== 200) throw new Error(`the cancel of ${id} was answered with ${status}`)
  return (await noted(notes, name, 'aborted')) - asked
}

async function noted(notes: Notes, name: string, what: string): Promise<number> {
  const note = await until(() => notes.of(name).find((one) => one.what === what), {
    within: 60_000,
    what: `${name} to be ${what}`,
  })
  return note.at
}

interface Run {
  name: string
  id: string
}
