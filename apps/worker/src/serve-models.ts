import { loadCatalogue } from '@millrace/models/catalogue'
import { takesFiles } from '@millrace/models/file-fields'
import type { Guard } from '@millrace/outbound/guard'
import type { Log } from '@millrace/process/log'
import { openProvider } from '@millrace/providers/open-provider'
import type { Config } from './config.ts'
import type { ServedModel } from './worker.ts'

/** The models of this worker: those of its pools and, where MODELS names some, only these. None is started yet. */
export async function serveModels(
  config: Config,
  guard: Guard,
  log: Log,
): Promise<ReadonlyMap<string, ServedModel>> {
  const { models, problems } = await loadCatalogue({ dirs: config.modelDirs, testModels: config.testModels })
  for (const { path, reason } of problems) log.warn({ path, reason }, 'a model file is not used')
  const options = {
    abortGraceMs: config.cancelGraceSeconds * 1000,
    guard,
    environment: config.hostSettings,
    maxFileBytes: config.maxFileBytes,
  }
  const served = [...models.values()].filter(
    ({ pool, namespace }) => config.pools.includes(pool) && (config.models?.includes(namespace) ?? true),
  )
  return new Map(
    served.map((description) => [
      description.namespace,
      {
        description,
        takesFiles: takesFiles(description.input_schema),
        provider: openProvider(description, options),
      },
    ]),
  )
}
