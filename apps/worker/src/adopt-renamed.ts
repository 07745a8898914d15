import { adoptRuns, type Rename } from '@millrace/lifecycle/adopt'
import type { Claimer } from './claim-runs.ts'
import type { Worker } from './worker.ts'

/**
 * Takes in what waits under the aliases of this worker's models: a model that was renamed has its old name among them,
 * and what was accepted under that name stands in a line that nobody serves any more. It looks when a bell of an alias
 * rings, when the models change, and every few seconds, since a process that has not read the new file yet may add to it.
 */
export function adoptRenamed(
  { config, lifecycle: { db }, log, models }: Adopting,
  claimer: Claimer,
): Adopter {
  let looking: Promise<void> | undefined
  let stopped = false
  const timer = setInterval(() => void look(), everyMs)

  function look(): Promise<void> {
    looking ??= adoptAll()
      .catch((err: unknown) => log.warn({ err }, 'what waits under former names could not be looked for'))
      .finally(() => {
        looking = undefined
      })
    return looking
  }

  async function adoptAll(): Promise<void> {
    for (let more = true; more && !stopped; ) {
      const renames = renamesOf(models)
      if (renames.length === 0) return
      const adopted = await adoptRuns(db, config.name, renames, atOnce)
      for (const [model, runs] of adopted) log.info({ model, runs }, 'runs under a former name are taken in')
      void claimer.wake(...adopted.keys())
      more = [...adopted.values()].some((runs) => runs >= atOnce)
    }
  }

  return {
    look,
    async heard(name) {
      if (!models.has(name) && renamesOf(models).some(({ former }) => former === name)) await look()
    },
    async stop() {
      stopped = true
      clearInterval(timer)
      await looking
    },
  }
}

function renamesOf(models: Adopting['models']): Rename[] {
  return [...models].flatMap(
    ([
      model,
      {
        aliases,
        description: { pool },
      },
    ]) => aliases.map((former) => ({ former, model, pool })),
  )
}

const everyMs = 5_000
const atOnce = 1_000

type Adopting = Pick<Worker, 'config' | 'lifecycle' | 'log' | 'models'>

export interface Adopter {
  /** Takes in what waits by now. Never rejects. */
  look(): Promise<void>
  /** A bell rang for this name: it may be an alias. */
  heard(name: string): Promise<void>
  stop(): Promise<void>
}
