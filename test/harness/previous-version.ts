import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { onTestFinished } from 'vitest'
import { linkPackages } from './clone.ts'

/** The code as it was before the newest migration came, by git; or why there is none to be had here. */
export async function findPreviousVersion(): Promise<PreviousVersion> {
  const migrations = (await readdir(join(checkout, 'migrations')))
    .filter((name) => name.endsWith('.sql'))
    .sort()
  const newest = migrations.at(-1)
  if (migrations.length < 2) return { missing: 'there is only one migration' }
  const added = await git('log', '--diff-filter=A', '--format=%H', '-1', '--', `migrations/${newest}`)
  if (added === undefined) return { missing: 'this is no git checkout' }
  // One that is not committed yet comes after all that is.
  const commit = await git('rev-parse', '--verify', '--quiet', added === '' ? 'HEAD' : `${added}^`)
  return commit ? { commit } : { missing: 'this git checkout is too shallow' }
}

/** Its files, for the time of the test, with this checkout's packages. */
export async function givenPreviousVersion(commit: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-previous-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const archive = join(folder, '.archive.tar')
  await git('archive', '--output', archive, commit)
  await promisify(execFile)('tar', ['-xf', archive, '-C', folder])
  await linkPackages(folder)
  return folder
}

/** `npm run migrate` of a version; of this one where no checkout is given. Answers what it printed. */
export async function migrateWith(
  environment: { DATABASE_URL: string; MASTER_KEY: string },
  from = checkout,
): Promise<string> {
  const { PATH, HOME } = process.env
  const command = join(from, 'apps/api/src/migrate.ts')
  const { stdout } = await promisify(execFile)(process.execPath, [command], {
    env: { PATH, HOME, ...environment },
  })
  return stdout
}

async function git(...args: string[]): Promise<string | undefined> {
  return await promisify(execFile)('git', args, { cwd: checkout }).then(
    ({ stdout }) => stdout.trim(),
    () => undefined,
  )
}

const checkout = fileURLToPath(new URL('../..', import.meta.url))

export type PreviousVersion =
  | { commit: string; missing?: undefined }
  | { commit?: undefined; missing: string }
