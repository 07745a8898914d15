import { dirname, resolve } from 'node:path'
import type { ModelDescription } from './description.ts'

/**
 * Makes a catalogue of what files describe. Where two of them claim one slug, the later folder wins, so that one's own
 * models may replace shipped ones; within a folder it is the first file. An alias never hides a model.
 */
export function assembleCatalogue(
  descriptions: readonly ModelDescription[],
  { dirs, testModels }: CatalogueOptions,
): Catalogue {
  const folders = dirs.map((dir) => resolve(dir))
  const folderOf = ({ file }: ModelDescription) => folders.lastIndexOf(dirname(file))
  const wanted = descriptions
    .filter(({ testOnly }) => testModels || !testOnly)
    .sort((a, b) => folderOf(b) - folderOf(a) || (a.file < b.file ? -1 : 1))
  const problems: CatalogueProblem[] = []
  const models = new Map<string, ModelDescription>()
  for (const model of wanted) {
    const { namespace, file } = model
    const winner = models.get(namespace)
    if (!winner) models.set(namespace, model)
    else if (folderOf(winner) === folderOf(model)) {
      problems.push({ path: file, reason: `"${namespace}" is already the model of ${winner.file}` })
    } else {
      problems.push({ path: file, reason: `"${namespace}" is replaced by ${winner.file}`, harmless: true })
    }
  }
  const aliases = aliasesOf(models, problems)
  const sorted = new Map([...models].sort(([a], [b]) => (a < b ? -1 : 1)))
  return {
    models: sorted,
    problems,
    find: (slug) => sorted.get(slug) ?? sorted.get(aliases.get(slug) ?? ''),
  }
}

function aliasesOf(
  models: ReadonlyMap<string, ModelDescription>,
  problems: CatalogueProblem[],
): Map<string, string> {
  const aliases = new Map<string, string>()
  for (const { namespace, aliases: wanted, file } of models.values()) {
    for (const alias of new Set(wanted)) {
      const holder = models.get(alias)?.namespace ?? aliases.get(alias)
      if (holder === undefined) aliases.set(alias, namespace)
      else if (holder !== namespace) {
        const whose = alias === holder ? 'is a model itself' : `is an alias of "${holder}" already`
        problems.push({ path: file, reason: `The alias "${alias}" ${whose}` })
      }
    }
  }
  return aliases
}

/** Which folders to read, later ones winning, and whether models made for tests are wanted. */
export interface CatalogueOptions {
  dirs: readonly string[]
  testModels: boolean
}

/** The models of some folders. */
export interface Catalogue {
  /** By namespace, in its order. */
  readonly models: ReadonlyMap<string, ModelDescription>
  /** What could not be used. */
  readonly problems: readonly CatalogueProblem[]
  /** The model of a namespace or an alias. */
  find(slug: string): ModelDescription | undefined
}

/** A file that is not used, or a folder that cannot be read, and why. */
export interface CatalogueProblem {
  path: string
  line?: number
  reason: string
  /** Nothing is wrong: it is only to be known. */
  harmless?: true
}
