import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { LoadError, loadDatabase } from '@millrace/database/load'
import { openStore } from '@millrace/storage/store'
import { copyFiles, filesOf, keyFiles, type Label, type Running } from './backup.ts'
import { withDatabase } from './borrow-database.ts'
import type { Config } from './config.ts'
import { writeSecretFile } from './data-dir.ts'
import { StartProblem } from './start-problem.ts'

/**
 * Fills an empty data folder from a backup of this release or of an earlier one, whatever PostgreSQL that had. Its
 * database comes last and whole or not at all, so that a restore that was cut short can be done again.
 */
export async function restore(config: Config, folder: string, { terminal, stop }: Running): Promise<void> {
  const { release, made_at } = await readLabel(folder)
  terminal.step(`Restoring the backup of ${made_at}, made by Millrace ${release}`)
  await withDatabase(config, { terminal, stop, alone: true }, async (url) => {
    await loadDatabase(url, join(folder, 'database'), async () => {
      const files = await copyFiles(await storedIds(folder), filesOf(folder), openStore(config.storageUrl))
      await restoreKeys(config, folder)
      terminal.step(`Restored files: ${files}`)
    }).catch((error: unknown) => {
      if (error instanceof LoadError) throw refused(error, config, folder)
      throw error
    })
  })
  terminal.step(`Restored ${config.dataDir}. Now: npm start`)
}

async function readLabel(folder: string): Promise<Label> {
  const text = await readFile(join(folder, 'backup.json'), 'utf8').catch(() => {
    throw new StartProblem(
      `There is no backup in ${folder}.`,
      'Name the folder that npm run backup was given.',
    )
  })
  return JSON.parse(text)
}

async function storedIds(folder: string): Promise<string[]> {
  const entries = await readdir(join(folder, 'files'), { recursive: true, withFileTypes: true }).catch(
    () => [],
  )
  return entries.filter((entry) => entry.isFile() && entry.name.startsWith('file_')).map(({ name }) => name)
}

/** Those that the environment gives stay out. */
async function restoreKeys({ dataDir, masterKey }: Config, folder: string): Promise<void> {
  for (const file of keyFiles) {
    if (file === 'master-key' && masterKey) continue
    const key = await readFile(join(folder, file), 'utf8').catch(() => undefined)
    if (key) await writeSecretFile(join(dataDir, file), key.trim())
  }
}

function refused(error: LoadError, { dataDir, databaseUrl }: Config, folder: string): StartProblem {
  if (error.reason !== 'not-empty') return new StartProblem(`${folder} cannot be restored.`, error.message)
  return new StartProblem(
    `A backup is restored into an empty database. ${error.message}`,
    databaseUrl
      ? 'Make an empty one and name it in DATABASE_URL.'
      : `Nothing was changed. Move the data folder away first: mv ${dataDir} ${dataDir}-before`,
  )
}
