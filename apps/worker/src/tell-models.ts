import type { CatalogueChange, LiveCatalogue } from '@millrace/models/live-catalogue'
import type { Log } from '@millrace/process/log'
import type { Config } from './config.ts'
import { seenFrom } from './seen-from.ts'
import { whyUnserved } from './why-unserved.ts'

/**
 * Says at once which models this worker does not serve, and from then on, in a line each, what a change to the files
 * came to. `mark` is on the lines that `npm start` shows on the terminal.
 */
export function tellModels(catalogue: LiveCatalogue, config: Config, log: Log): ModelsTold {
  const unserved = new Set<string>()

  for (const [model, description] of catalogue.models) {
    const why = whyUnserved(description, config, catalogue)
    if (!why) continue
    unserved.add(model)
    const { wanted, ...what } = why
    log[wanted ? 'info' : 'warn']({ model, ...what }, 'a model is not served')
  }

  function tell(model: string, news: string): void {
    const description = catalogue.models.get(model)
    if (!description) return
    const { file, type } = description
    const what = `${model} (${type}) from ${seen(file)}`
    const about = { model, file }
    const why = whyUnserved(description, config, catalogue)
    const wasUnserved = unserved.delete(model)
    if (why) {
      unserved.add(model)
      const { wanted, reason, missing } = why
      log[wanted ? 'info' : 'warn']({ mark: '!', ...about, missing }, `${what} is not served: ${reason}`)
    } else if (news === 'changed' && !wasUnserved) {
      log.info({ mark: '~', ...about }, `${what} has changed`)
    } else {
      log.info({ mark: '+', ...about }, `${what} is ready`)
    }
  }

  return {
    change({ added, changed, removed, mended }) {
      for (const model of added) tell(model, 'added')
      for (const model of changed) tell(model, 'changed')
      for (const model of removed) {
        unserved.delete(model)
        log.info({ mark: '-', model }, `${model} is gone`)
      }
      const told = new Set([...added, ...changed].map((model) => catalogue.models.get(model)?.file))
      for (const file of mended) {
        if (!told.has(file)) log.info({ mark: '+', file }, `${seen(file)} is good again`)
      }
    },
  }
}

const seen = (file: string): string => seenFrom(process.cwd(), file)

/** Who tells it. */
export interface ModelsTold {
  change(change: CatalogueChange): void
}
