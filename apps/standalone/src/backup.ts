import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { dumpDatabase, dumpedIds } from '@millrace/database/dump'
import { toTypeId } from '@millrace/database/ids'
import { type FileStore, openStore } from '@millrace/storage/store'
import { withDatabase } from './borrow-database.ts'
import type { Config } from './config.ts'
import { findPostgresHome } from './postgres-home.ts'
import { StartProblem } from './start-problem.ts'
import type { Terminal } from './terminal.ts'

/**
 * Writes everything that the service keeps into a new folder, while it runs or not: the database as of one moment, then
 * the files that its rows name, then the keys. The folder gets its name when it is whole.
 */
export async function backUp(config: Config, folder: string, { terminal, stop }: Running): Promise<void> {
  if (await exists(folder)) throw new StartProblem(`${folder} exists.`, 'Name a folder that does not.')
  if (!config.databaseUrl && (await findPostgresHome(config.dataDir)).isNew) {
    throw new StartProblem(
      `There is no database in ${config.dataDir} yet.`,
      'Is DATA_DIR right? It is the folder that npm start was given, .millrace unless it was given one.',
    )
  }
  const unfinished = `${folder}.unfinished`
  await rm(unfinished, { recursive: true, force: true })
  await mkdir(unfinished, { recursive: true, mode: 0o700 })
  await withDatabase(config, { terminal, stop, alone: false }, async (url) => {
    const database = join(unfinished, 'database')
    const { tables } = await dumpDatabase(url, database)
    const predictions = tables.find(({ name }) => name === 'predictions')?.rows ?? 0
    const ids = (await dumpedIds(database, 'files')).map((id) => toTypeId('file', id))
    const files = await copyFiles(ids, openStore(config.storageUrl), filesOf(unfinished))
    terminal.step(`Copied predictions: ${predictions}, files: ${files}`)
  })
  await copyKeys(config, unfinished, terminal)
  await writeFile(join(unfinished, 'backup.json'), JSON.stringify(await label(), undefined, 2), {
    flush: true,
  })
  await rename(unfinished, folder)
  terminal.step(`The backup is ${folder}. It holds secrets: keep it where only you can read it`)
}

/** Where a backup keeps the bytes of its files. */
export function filesOf(backup: string): FileStore {
  return openStore(pathToFileURL(join(backup, 'files')).href)
}

/** Copies what is there of `ids`, a few at a time; some may have expired meanwhile. Returns how many there were. */
export async function copyFiles(ids: string[], from: FileStore, to: FileStore): Promise<number> {
  let copied = 0
  const rest = ids.values()
  async function work(): Promise<void> {
    for (const id of rest) {
      const bytes = await from.open(id)
      if (!bytes) continue
      await to.write(id, bytes)
      copied++
    }
  }
  await Promise.all(Array.from({ length: 8 }, work))
  return copied
}

/** The secrets of a data folder that what is in the database depends on. */
export const keyFiles = ['master-key', 'api-key', 'admin-key'] as const

/** A MASTER_KEY that the environment gives is its owner's to keep, unless it is the one of the data folder. */
async function copyKeys({ dataDir, masterKey }: Config, folder: string, terminal: Terminal): Promise<void> {
  for (const file of keyFiles) {
    const key = await readFile(join(dataDir, file), 'utf8').catch(() => undefined)
    const isOther = file === 'master-key' && masterKey !== undefined && key?.trim() !== masterKey
    if (isOther) terminal.step('MASTER_KEY is not part of it: keep that, too')
    else if (key !== undefined) await writeFile(join(folder, file), key, { mode: 0o600, flush: true })
  }
}

async function label(): Promise<Label> {
  const manifest = await readFile(new URL('../../../package.json', import.meta.url), 'utf8')
  return { release: JSON.parse(manifest).version, made_at: new Date().toISOString() }
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  )
}

export interface Label {
  /** Of Millrace. */
  release: string
  made_at: string
}

export interface Running {
  terminal: Terminal
  stop: AbortSignal
}
