import { execFile } from 'node:child_process'
import { chown, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { noteHome, type PostgresHome } from './postgres-home.ts'
import { StartProblem } from './start-problem.ts'

/**
 * Makes the database cluster unless it exists. It is made beside its place and moved there when whole, so a start that
 * was cut short leaves nothing that looks like a database.
 */
export async function createCluster(home: PostgresHome, options: ClusterOptions): Promise<void> {
  const { folder, isNew } = home
  const unfinished = `${folder}.new`
  if (!isNew) {
    if (!(await exists(folder)) && (await exists(unfinished))) await rename(unfinished, folder)
    return await assertUsable(home)
  }
  if (await exists(folder)) await setAside(folder, options.progress)
  await rm(unfinished, { recursive: true, force: true })
  options.progress('Making the database')
  await initialise(home, unfinished, options)
  await noteHome(home)
  await rename(unfinished, folder)
}

async function initialise(
  { native, user }: PostgresHome,
  folder: string,
  options: ClusterOptions,
): Promise<void> {
  const passwordFile = join(dirname(folder), `.password-${process.pid}`)
  await writeFile(passwordFile, options.password, { mode: 0o600 })
  if (user) await chown(passwordFile, user.uid, user.gid)
  // Said outright, because where LANG is unset initdb would choose SQL_ASCII. Only Linux has C.UTF-8 for certain.
  const locale =
    process.platform === 'linux'
      ? ['--locale=C.UTF-8']
      : ['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8']
  try {
    await promisify(execFile)(
      join(native, 'bin', 'initdb'),
      [
        `--pgdata=${folder}`,
        '--username=millrace',
        `--pwfile=${passwordFile}`,
        '--auth=scram-sha-256',
        '--encoding=UTF8',
        ...locale,
        '--no-instructions',
        ...(options.durable ? [] : ['--no-sync']),
      ],
      { cwd: '/', ...(user && { uid: user.uid, gid: user.gid }) },
    )
  } catch (error) {
    const stderr = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : String(error)
    throw new StartProblem('The database could not be made.', `initdb says: ${stderr}`)
  } finally {
    await rm(passwordFile, { force: true })
  }
}

/** The note of the database was removed, and the database was not: kept, but not used. */
async function setAside(folder: string, progress: (step: string) => void): Promise<void> {
  const kept = `${folder}.before-${new Date().toISOString().replaceAll(':', '')}`
  await rename(folder, kept)
  progress(`Kept the database of an earlier data folder of this name in ${kept}`)
}

async function assertUsable({ folder, major, dataDir }: PostgresHome): Promise<void> {
  const version = await readFile(join(folder, 'PG_VERSION'), 'utf8').catch(() => undefined)
  if (version === undefined) {
    throw new StartProblem(
      `There is no database in ${folder}, where ${join(dataDir, 'postgres.json')} says it is.`,
      'Put the folder back, or remove postgres.json to begin with an empty database.',
    )
  }
  const old = version.trim()
  if (Number.parseInt(old, 10) !== major) throw otherMajor(old, { folder, major, dataDir })
}

/** One PostgreSQL cannot read the folder of another, and the npm packages bring no pg_dump: a backup is our dump. */
function otherMajor(
  old: string,
  { folder, major, dataDir }: Pick<PostgresHome, 'folder' | 'major' | 'dataDir'>,
): StartProblem {
  const [data, kept, backup] = ['', `-postgresql-${old}`, '-backup'].map((suffix) => quote(dataDir + suffix))
  return new StartProblem(
    `The database in ${folder} is of PostgreSQL ${old}; this release brings PostgreSQL ${major}, which cannot read it.`,
    [
      'Nothing was changed. A backup takes everything over. With the release of Millrace that it last ran with:',
      `  DATA_DIR=${data} npm run backup -- ${backup}`,
      'Then with this one:',
      `  mv ${data} ${kept}`,
      `  DATA_DIR=${data} npm run restore -- ${backup}`,
      `  DATA_DIR=${data} npm start`,
    ].join('\n'),
  )
}

function quote(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  )
}

interface ClusterOptions {
  password: string
  durable: boolean
  progress: (step: string) => void
}
