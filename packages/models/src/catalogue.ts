import { readdir, readFile } from 'node:fs/promises'
import { extname, join, resolve } from 'node:path'
import { describeFiles } from './describe-files.ts'
import { describeSettings, type ModelDescription } from './description.ts'
import { createOutputValidator, createValidator } from './validate.ts'

/**
 * Reads every model of some folders. A file that cannot be a model is a problem with its path and reason and stops no
 * other. Where two files claim one namespace, the later folder wins, so that one's own models may replace shipped ones.
 * Only the folders themselves are read: what models share lives in folders below them.
 */
export async function loadCatalogue({ dirs, testModels }: CatalogueOptions): Promise<Catalogue> {
  const problems: CatalogueProblem[] = []
  const listings = await Promise.all(dirs.map((dir) => modelFiles(resolve(dir), problems)))
  const files = [...new Set(listings.flat())]
  const described = await describeAll(files, problems)

  const models = new Map<string, ModelDescription>()
  for (const file of files) {
    const description = described.get(file)
    if (description && (testModels || !description.testOnly)) {
      add(models, description, dirs, problems)
    }
  }
  return { models: new Map([...models].sort(([a], [b]) => (a < b ? -1 : 1))), problems }
}

async function modelFiles(dir: string, problems: CatalogueProblem[]): Promise<string[]> {
  try {
    const entries = await readdir(dir, { withFileTypes: true })
    return entries
      .filter((entry) => !entry.isDirectory() && isModelFile(entry.name))
      .map((entry) => join(dir, entry.name))
      .sort()
  } catch (error) {
    problems.push({ path: dir, reason: `The folder cannot be read: ${reasonOf(error)}` })
    return []
  }
}

function isModelFile(name: string): boolean {
  return (
    /\.(ts|mjs|json)$/.test(name) &&
    !/^[._]|\.d\.ts$|\.test\.ts$|^(package|package-lock|tsconfig)\.json$/.test(name)
  )
}

async function describeAll(
  files: string[],
  problems: CatalogueProblem[],
): Promise<Map<string, ModelDescription>> {
  const modules = await describeFiles(files.filter((file) => extname(file) !== '.json'))
  const others = await Promise.all(files.filter((file) => extname(file) === '.json').map(readJson))
  const usable = new Map<string, ModelDescription>()
  for (const { file, description, reason } of [...modules, ...others]) {
    const fault = reason ?? schemaFault(description)
    if (fault === undefined && description) {
      usable.set(file, description)
    } else {
      problems.push({ path: file, reason: fault ?? 'The file describes no model' })
    }
  }
  return usable
}

async function readJson(
  file: string,
): Promise<{ file: string; description?: ModelDescription; reason?: string }> {
  try {
    return { file, description: describeSettings(file, JSON.parse(await readFile(file, 'utf8'))) }
  } catch (error) {
    return { file, reason: reasonOf(error) }
  }
}

function schemaFault(description: ModelDescription | undefined): string | undefined {
  try {
    if (description) {
      createValidator(description)
      createOutputValidator(description)
    }
    return undefined
  } catch (error) {
    return `A schema cannot be used: ${reasonOf(error)}`
  }
}

function add(
  models: Map<string, ModelDescription>,
  description: ModelDescription,
  dirs: string[],
  problems: CatalogueProblem[],
): void {
  const { namespace } = description
  const earlier = models.get(namespace)
  if (earlier && folderOf(earlier, dirs) === folderOf(description, dirs)) {
    problems.push({
      path: description.file,
      reason: `"${namespace}" is already the model of ${earlier.file}`,
    })
    return
  }
  if (earlier) {
    problems.push({
      path: earlier.file,
      reason: `"${namespace}" is replaced by ${description.file}`,
    })
  }
  models.set(namespace, description)
}

function folderOf({ file }: ModelDescription, dirs: string[]): number {
  return dirs.findLastIndex((dir) => resolve(dir) === resolve(file, '..'))
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** Which folders to read, later ones winning, and whether models made for tests are wanted. */
export interface CatalogueOptions {
  dirs: string[]
  testModels: boolean
}

/** The models by namespace, in its order, and what could not be used. */
export interface Catalogue {
  models: ReadonlyMap<string, ModelDescription>
  problems: CatalogueProblem[]
}

/** A file that is not used, or a folder that cannot be read, and why. */
export interface CatalogueProblem {
  path: string
  reason: string
}
