import type { Catalogue, CatalogueOptions, CatalogueProblem } from './assemble-catalogue.ts'
import { createCatalogueReader } from './catalogue-reader.ts'
import { type Asking, createCogSchemas } from './cog-schemas.ts'

/**
 * Reads the models of some folders and goes on looking, once a second: a file that was changed, added or removed takes
 * effect by itself. Looking needs no notice from the file system, so folders may be shared over a network.
 */
export async function openCatalogue(options: LiveOptions): Promise<LiveCatalogue> {
  const reader = createCatalogueReader(options)
  const schemas = createCogSchemas(update, options.schemas)
  const hearers = new Set<(change: CatalogueChange) => void>()
  let current: Catalogue = { models: new Map(), problems: [], find: () => undefined }
  let timer: NodeJS.Timeout | undefined
  let closed = false

  function update(): void {
    const before = current
    current = schemas.complete(reader.catalogue())
    const known = new Set(before.problems.map(keyOf))
    for (const problem of current.problems) if (!known.has(keyOf(problem))) options.onProblem(problem)
    const change = { ...changeBetween(before, current), mended: mendedBetween(before, current) }
    if (Object.values(change).some((names) => names.length > 0)) for (const hear of hearers) hear(change)
  }

  async function look(): Promise<void> {
    if (await reader.look()) update()
    void schemas.ask(reader.catalogue())
  }

  function lookLater(): void {
    if (closed) return
    timer = setTimeout(() => {
      void look()
        .catch((error: unknown) =>
          options.onProblem({ path: options.dirs.join(', '), reason: String(error) }),
        )
        .finally(lookLater)
    }, options.everyMs ?? everyMs).unref()
  }

  await reader.look()
  // So that models in containers that are up can be used at once.
  await schemas.ask(reader.catalogue())
  update()
  lookLater()
  return {
    get models() {
      return current.models
    },
    get problems() {
      return current.problems
    },
    find: (slug) => current.find(slug),
    listen: (hear) => void hearers.add(hear),
    close() {
      closed = true
      clearTimeout(timer)
      schemas.close()
    },
  }
}

function changeBetween(before: Catalogue, after: Catalogue): Omit<CatalogueChange, 'mended'> {
  const isSame = (name: string) => {
    const [was, is] = [before.models.get(name), after.models.get(name)]
    return was?.versionId === is?.versionId && was?.file === is?.file
  }
  const names = [...after.models.keys()]
  return {
    added: names.filter((name) => !before.models.has(name)),
    changed: names.filter((name) => before.models.has(name) && !isSame(name)),
    removed: [...before.models.keys()].filter((name) => !after.models.has(name)),
  }
}

function mendedBetween(before: Catalogue, after: Catalogue): string[] {
  const bad = ({ problems }: Catalogue) =>
    new Set(problems.filter(({ harmless }) => !harmless).map(({ path }) => path))
  const still = bad(after)
  const models = [...after.models.values()]
  return [...bad(before)].filter((path) => !still.has(path) && models.some(({ file }) => file === path))
}

const keyOf = ({ path, line, reason }: CatalogueProblem): string => `${path}:${line}: ${reason}`

const everyMs = 1_000

/** Which folders, and who is told of what cannot be used: of each problem once. */
export interface LiveOptions extends CatalogueOptions {
  onProblem(problem: CatalogueProblem): void
  everyMs?: number
  schemas?: Asking
}

/** A catalogue that is always the current one. */
export interface LiveCatalogue extends Catalogue {
  /** Hears of every change, by the names of the models. */
  listen(hear: (change: CatalogueChange) => void): void
  /** Looks no more. */
  close(): void
}

/** The namespaces of the models that are other ones now, and the files in which nothing is wrong any more. */
export interface CatalogueChange {
  added: string[]
  changed: string[]
  removed: string[]
  mended: string[]
}
