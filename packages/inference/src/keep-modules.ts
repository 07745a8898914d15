import type { ModelDescription } from '@millrace/models/description'
import { type ModuleBackend, openModule } from './module-backend.ts'

/**
 * The modules of one process, each opened once for every state of its file. When the models have changed, those whose
 * state is gone end as soon as nobody is inside.
 */
export function keepModules(): Modules {
  const open = new Map<string, ModuleBackend>()

  return {
    of(model) {
      if (model.provider.kind !== 'module') return undefined
      const known = open.get(model.versionId)
      if (known) return known
      const opened = openModule(model)
      open.set(model.versionId, opened)
      return opened
    },
    keepOnly(models) {
      const current = new Set([...models].map(({ versionId }) => versionId))
      for (const [id, module] of open) {
        if (current.has(id)) continue
        open.delete(id)
        void module.close()
      }
    },
    async close() {
      const closing = [...open.values()].map((module) => module.close())
      open.clear()
      await Promise.all(closing)
    },
  }
}

/** See `keepModules`. */
export interface Modules {
  /** Undefined for a model of another kind. */
  of(model: ModelDescription): ModuleBackend | undefined
  /** Ends all others. */
  keepOnly(models: Iterable<ModelDescription>): void
  close(): Promise<void>
}
