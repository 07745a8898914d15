import { createHash } from 'node:crypto'
import { resolve } from 'node:path'
import {
  assembleCatalogue,
  type Catalogue,
  type CatalogueOptions,
  type CatalogueProblem,
} from './assemble-catalogue.ts'
import { describeAll } from './describe-all.ts'
import type { DescribedText, Fault } from './describe-text.ts'
import type { ModelDescription } from './description.ts'
import { listModelFiles, programsOf, readFiles, readWhole, stampOf } from './model-files.ts'

/**
 * Reads the model files of some folders again and again. Only what has other bytes than before is described anew; a file
 * that became bad keeps its last good description, and a folder that cannot be read its last listing.
 */
export function createCatalogueReader(options: CatalogueOptions): CatalogueReader {
  const folders = new Map(
    options.dirs.map((dir): [string, Folder] => [resolve(dir), { files: [], reason: undefined }]),
  )
  const states = new Map<string, FileState>()

  async function list([dir, folder]: [string, Folder]): Promise<boolean> {
    const before = folder.reason
    try {
      folder.files = await listModelFiles(dir)
      folder.reason = undefined
    } catch (error) {
      folder.reason = `The folder cannot be read: ${reasonOf(error)}`
    }
    return folder.reason !== before
  }

  /** A file that is replaced may be away for a moment: only one that two looks did not see is gone. */
  function forget(present: ReadonlySet<string>): boolean {
    let gone = false
    for (const [file, state] of states) {
      state.missed = present.has(file) ? 0 : state.missed + 1
      if (state.missed >= 2) gone = states.delete(file)
    }
    return gone
  }

  /** The bytes of a file if they are others than at the last look, or why they cannot be had. */
  async function readChanged(file: string): Promise<Buffer | string | undefined> {
    const state = states.get(file) ?? newState()
    states.set(file, state)
    const programs = state.description ? programsOf(state.description) : []
    const stamp = await stampOf([file, ...programs])
    // A clock of whole seconds tells two changes in one second as one: what changed just now is read again.
    if (stamp !== state.stamp) state.unsteady = rereads
    if (state.unsteady === 0) return undefined
    state.unsteady -= 1
    state.stamp = stamp
    const bytes = await readWhole(file).catch(
      (error: unknown) => `The file cannot be read: ${reasonOf(error)}`,
    )
    const hash = createHash('sha256').update(bytes)
    for (const program of await readFiles(programs)) hash.update(program)
    const digest = hash.digest('hex')
    if (digest === state.digest) return undefined
    state.digest = digest
    return bytes
  }

  function note(file: string, { description, faults = [] }: DescribedText): void {
    const state = states.get(file)
    if (!state) return
    state.faults = faults
    state.description = description ?? state.description
  }

  return {
    async look() {
      const listed = await Promise.all([...folders].map(list))
      const present = new Set([...folders.values()].flatMap(({ files }) => files))
      const gone = forget(present)
      const readable = [...folders.values()].flatMap(({ files, reason }) =>
        reason === undefined ? files : [],
      )
      const changed = new Map<string, Buffer>()
      let unreadable = false
      await Promise.all(
        readable.map(async (file) => {
          const read = await readChanged(file)
          if (Buffer.isBuffer(read)) changed.set(file, read)
          else if (read !== undefined) {
            note(file, { faults: [{ reason: read }] })
            unreadable = true
          }
        }),
      )
      for (const [file, described] of await describeAll(changed)) note(file, described)
      return gone || unreadable || listed.includes(true) || changed.size > 0
    },
    catalogue() {
      const good = [...states.values()].flatMap(({ description }) => description ?? [])
      const { problems, ...catalogue } = assembleCatalogue(good, options)
      return { ...catalogue, problems: [...folderProblems(folders), ...fileProblems(states), ...problems] }
    },
  }
}

function folderProblems(folders: ReadonlyMap<string, Folder>): CatalogueProblem[] {
  return [...folders].flatMap(([path, { reason }]) => (reason === undefined ? [] : [{ path, reason }]))
}

function fileProblems(states: ReadonlyMap<string, FileState>): CatalogueProblem[] {
  return [...states].flatMap(([path, { faults, description }]) =>
    faults.map(({ line, reason }) => ({
      path,
      ...(line === undefined ? {} : { line }),
      reason: description ? `${reason} (its last good state is still served)` : reason,
    })),
  )
}

function newState(): FileState {
  return { stamp: undefined, digest: '', unsteady: 0, missed: 0, faults: [], description: undefined }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** Looks at which a changed file is read, whatever its time says. */
const rereads = 3

/** What is known of some folders of models. */
export interface CatalogueReader {
  /** Looks at every file. Answers whether the catalogue may be another now. */
  look(): Promise<boolean>
  catalogue(): Catalogue
}

interface Folder {
  files: string[]
  reason: string | undefined
}

interface FileState {
  stamp: string | undefined
  digest: string
  /** So many looks still read it. */
  unsteady: number
  /** Looks that did not see it. */
  missed: number
  faults: Fault[]
  /** The last good one. */
  description: ModelDescription | undefined
}
