import { saveRunTimes } from '@millrace/lifecycle/run-times'
import { announceWorker, dismissWorker } from '@millrace/lifecycle/workers'
import type { Worker } from './worker.ts'

/**
 * Says every few seconds that this worker is up and what it serves, and writes down how long its runs took: two small
 * statements, however many runs there were. A word that is lost costs nothing but a little knowledge.
 */
export function announce({ config, lifecycle: { db }, log, models, runTimes }: Announced): Announcing {
  let timer: NodeJS.Timeout | undefined
  let saying: Promise<unknown> = Promise.resolve()
  let stopped = false

  async function say(): Promise<void> {
    const aliases = [...models.values()].flatMap((model) => model.aliases)
    await announceWorker(db, config.name, [...models.keys()], aliases)
    await save()
  }

  async function save(): Promise<void> {
    const times = runTimes.take()
    if (times.size > 0) await saveRunTimes(db, times)
  }

  function repeat(): void {
    saying = say()
      .catch((err: unknown) => log.debug({ err }, 'this worker could not say that it is up'))
      .finally(() => {
        if (!stopped) timer = setTimeout(repeat, everyMs)
      })
  }

  repeat()
  return {
    async stop() {
      stopped = true
      clearTimeout(timer)
      await saying
      await Promise.all([save(), dismissWorker(db, config.name)]).catch((err: unknown) =>
        log.debug({ err }, 'this worker could not say that it goes'),
      )
    },
  }
}

const everyMs = 5_000

type Announced = Pick<Worker, 'config' | 'lifecycle' | 'log' | 'models' | 'runTimes'>

export interface Announcing {
  /** Says what is left to say, and that it serves nothing any more. */
  stop(): Promise<void>
}
