import type { Place } from '@millrace/lifecycle/places'
import type { ModelDescription } from '@millrace/models/description'
import { takesFiles } from '@millrace/models/file-fields'
import { type LiveCatalogue, openCatalogue } from '@millrace/models/live-catalogue'
import type { Guard } from '@millrace/outbound/guard'
import type { Log } from '@millrace/process/log'
import { openProvider } from '@millrace/providers/open-provider'
import { hostOf } from '@millrace/providers/remote/host-of'
import type { Config } from './config.ts'
import { tellModels } from './tell-models.ts'
import { whyUnserved } from './why-unserved.ts'
import type { ServedModel, ServedModels } from './worker.ts'

/**
 * The models of this worker: those of its pools and, where MODELS names some, only these. None is started yet. When a
 * file changes, new runs take the new state at once; the old one is closed when the last of its runs has ended.
 */
export async function serveModels(config: Config, guard: Guard, log: Log): Promise<ServedModels> {
  const catalogue = await openCatalogue({
    dirs: config.modelDirs,
    testModels: config.testModels,
    onProblem: (problem) => log.warn(problem, 'a model file is not used'),
  })
  const hearers = new Set<(names: string[]) => void>()
  const served = new Map<string, OpenModel>()
  const open = new Set<OpenModel>()

  function openModel(description: ModelDescription): OpenModel {
    const model = createOpenModel(description, config, guard, () => open.delete(model))
    open.add(model)
    return model
  }

  /** Answers the models that are new, or other ones than before. */
  function update(): string[] {
    const hosts = new Map(
      [...catalogue.models.values()].map((model) => [model, hostOf(model, config.hostSettings)]),
    )
    const wanted = new Map(
      [...catalogue.models].filter(([, model]) => !whyUnserved(model, config, catalogue)),
    )
    for (const [name, model] of served) {
      if (isSame(model.description, wanted.get(name))) continue
      served.delete(name)
      model.retire()
    }
    const fresh = [...wanted].filter(([name]) => !served.has(name))
    for (const [name, description] of fresh) served.set(name, openModel(description))
    // A limit of their host, or whose an alias is, may have changed in the file of another model.
    for (const [name, model] of served) {
      model.aliases = model.description.aliases.filter((alias) => catalogue.find(alias)?.namespace === name)
      model.places = placesOf(model, hosts)
    }
    return fresh.map(([name]) => name)
  }

  update()
  const told = tellModels(catalogue, config, log)
  catalogue.listen((change) => {
    const names = update()
    told.change(change)
    for (const hear of hearers) hear(names)
  })
  return Object.assign(served, {
    describe: (slug: string) => catalogue.find(slug),
    listen: (hear: (names: string[]) => void) => void hearers.add(hear),
    close: () => closeAll(catalogue, open),
  })
}

function createOpenModel(
  description: ModelDescription,
  config: Config,
  guard: Guard,
  closed: () => void,
): OpenModel {
  const provider = openProvider(description, {
    abortGraceMs: config.cancelGraceSeconds * 1000,
    guard,
    environment: config.hostSettings,
    maxFileBytes: config.maxFileBytes,
  })
  let inside = 0
  let retired = false
  const closeWhenEmpty = () => {
    if (retired && inside === 0) void provider.close().finally(closed)
  }
  return {
    description,
    takesFiles: takesFiles(description.input_schema),
    provider,
    host: hostOf(description, config.hostSettings),
    aliases: [],
    places: [],
    enter() {
      inside += 1
      return () => {
        inside -= 1
        closeWhenEmpty()
      }
    },
    retire() {
      retired = true
      closeWhenEmpty()
    },
  }
}

/** The same state at the same place: a provider that was opened for one serves the other. */
function isSame(open: ModelDescription, wanted: ModelDescription | undefined): boolean {
  return open.versionId === wanted?.versionId && open.file === wanted.file
}

/**
 * A host's limit is what any model states that runs there, the least of them, and counts for all. A model's own counts
 * under its aliases as well, so that runs which other workers have under its former name leave no more than the rest.
 */
function placesOf(
  { description: model, host, aliases }: OpenModel,
  hosts: ReadonlyMap<ModelDescription, string | undefined>,
): Place[] {
  const stated = [...hosts].flatMap(([{ provider }, name]) =>
    host !== undefined && name === host && 'max_running' in provider ? (provider.max_running ?? []) : [],
  )
  const { maxRunning } = model
  return [
    ...(maxRunning === undefined
      ? []
      : [model.namespace, ...aliases].map((name) => ({ name: `model ${name}`, limit: maxRunning }))),
    ...(stated.length === 0 ? [] : [{ name: `host ${host}`, limit: Math.min(...stated) }]),
  ]
}

async function closeAll(catalogue: LiveCatalogue, open: ReadonlySet<OpenModel>): Promise<void> {
  catalogue.close()
  await Promise.all([...open].map(({ provider }) => provider.close()))
}

interface OpenModel extends ServedModel {
  /** Takes no more runs: it is closed when those inside have ended. */
  retire(): void
}
