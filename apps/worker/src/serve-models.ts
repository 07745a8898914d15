import type { Place } from '@millrace/lifecycle/places'
import { loadCatalogue } from '@millrace/models/catalogue'
import type { ModelDescription } from '@millrace/models/description'
import { takesFiles } from '@millrace/models/file-fields'
import type { Guard } from '@millrace/outbound/guard'
import type { Log } from '@millrace/process/log'
import { openProvider } from '@millrace/providers/open-provider'
import { hostOf } from '@millrace/providers/remote/host-of'
import type { Config } from './config.ts'
import type { ServedModel, Worker } from './worker.ts'

/**
 * The models of this worker: those of its pools and, where MODELS names some, only these. None is started yet. Besides it
 * knows all others, since it may have to give a run to one of them.
 */
export async function serveModels(
  config: Config,
  guard: Guard,
  log: Log,
): Promise<Pick<Worker, 'models' | 'describe'>> {
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
  const hosts = new Map([...models.values()].map((model) => [model, hostOf(model, config.hostSettings)]))
  const opened = served.map((description): [string, ServedModel] => [
    description.namespace,
    {
      description,
      takesFiles: takesFiles(description.input_schema),
      provider: openProvider(description, options),
      host: hosts.get(description),
      places: placesOf(description, hosts),
    },
  ])
  return { models: new Map(opened), describe: (slug) => models.get(slug) }
}

/** A host's limit is what any model states that runs there, the least of them, and counts for all. */
function placesOf(
  model: ModelDescription,
  hosts: ReadonlyMap<ModelDescription, string | undefined>,
): Place[] {
  const host = hosts.get(model)
  const stated = [...hosts].flatMap(([{ provider }, name]) =>
    host !== undefined && name === host && 'max_running' in provider ? (provider.max_running ?? []) : [],
  )
  return [
    ...(model.maxRunning === undefined
      ? []
      : [{ name: `model ${model.namespace}`, limit: model.maxRunning }]),
    ...(stated.length === 0 ? [] : [{ name: `host ${host}`, limit: Math.min(...stated) }]),
  ]
}
