import { randomBytes } from 'node:crypto'
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { dirname, join } from 'node:path'
import type { Config } from './config.ts'
import { isOurProcess } from './process-identity.ts'
import { StartProblem } from './start-problem.ts'

/**
 * Makes the data folder this process's own until `release`. A run that was killed leaves its note behind: `killedRun`
 * names its worker, so that what it still holds (the port, leases, the database server) can be freed or waited for.
 */
export async function claimDataDir(config: Claiming): Promise<ClaimedDataDir> {
  const { dataDir, workerName, publicUrl, port } = config
  await assertWritable(dataDir)
  const note = join(dataDir, 'running')
  const killedRun = await clearStaleNote(note, config)
  const text = `${process.pid}\n${workerName}\n${publicUrl}\n${port}\n`
  await writeFile(note, text, { flag: 'wx', mode: 0o600 }).catch((error) => {
    if (error.code === 'EEXIST') throw alreadyRunning(config)
    throw error
  })
  return { killedRun, release: () => rm(note, { force: true }) }
}

/** The secret in `file` of the data folder, made by `make` and kept (0600) when there is none yet. */
export async function keptSecret(
  dataDir: string,
  file: string,
  make: () => string = newSecret,
): Promise<string> {
  const path = join(dataDir, file)
  const kept = await readFile(path, 'utf8').catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return ''
    throw new StartProblem(
      `${path} cannot be read (${reason(error)}).`,
      `Let user ${userInfo().username} read it. If it is of no use any more, move it away: a new one is made then.`,
    )
  })
  if (kept.trim() !== '') return kept.trim()
  const secret = make()
  await writeSecretFile(path, secret)
  return secret
}

/** Written whole or not at all, readable by its owner only. */
export async function writeSecretFile(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, `${text}\n`, { mode: 0o600, flush: true })
  await rename(`${path}.new`, path)
}

function newSecret(): string {
  return randomBytes(32).toString('base64url')
}

async function assertWritable(dataDir: string): Promise<void> {
  try {
    await makeFolder(dataDir)
    const probe = join(dataDir, `.probe-${process.pid}`)
    await writeFile(probe, '')
    await rm(probe)
  } catch (error) {
    throw new StartProblem(
      `DATA_DIR cannot be written: ${dataDir} (${reason(error)}).`,
      `Let user ${userInfo().username} write there, or choose another folder: DATA_DIR=/path/to/folder npm start`,
    )
  }
}

/** mkdir's own `recursive` never ends where an existing folder says of a new one that it is not there, as /proc does. */
async function makeFolder(path: string): Promise<void> {
  if (await isFolder(path)) return
  await makeFolder(dirname(path))
  await mkdir(path, { mode: 0o700 }).catch(async (error: unknown) => {
    if (!(await isFolder(path))) throw error
  })
}

async function isFolder(path: string): Promise<boolean> {
  return await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  )
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}

function reason(error: unknown): string {
  const code = codeOf(error)
  if (code === 'ENOENT') return 'the system lets no folder be made there'
  if (code === 'EISDIR') return 'a folder is in the way'
  if (code === 'EACCES' || code === 'EPERM') return 'permission denied'
  if (code === 'EROFS') return 'the file system is read-only'
  if (code === 'ENOSPC') return 'the disk is full'
  if (code === 'ENOTDIR' || code === 'EEXIST') return 'a file is in the way'
  return error instanceof Error ? error.message : String(error)
}

async function clearStaleNote(note: string, config: Claiming): Promise<KilledRun | undefined> {
  const text = await readFile(note, 'utf8').catch(() => undefined)
  if (text === undefined) return undefined
  const [pidLine = '', workerName = '', url = '', port = ''] = text.split('\n')
  const pid = Number(pidLine)
  if (pid !== process.pid && (await isOurProcess(pid, 'apps/standalone/src/')))
    throw alreadyRunning(config, { pid, url, port: Number(port) })
  await rm(note, { force: true })
  return { workerName }
}

function alreadyRunning({ dataDir, port }: Claiming, running?: RunningNow): StartProblem {
  const where = running?.url ? ` at ${running.url}` : ''
  const taken = running?.port || port
  // One that was asked for and is not the running one's may stay.
  const other = port === taken ? (port === 65_535 ? port - 1 : port + 1) : port
  return new StartProblem(
    `Millrace already runs on ${dataDir}${where}${running ? ` (process ${running.pid})` : ''}.`,
    `Use that one, stop it first, or start a second one beside it: PORT=${other} DATA_DIR=${dataDir}-2 npm start`,
  )
}

type Claiming = Pick<Config, 'dataDir' | 'workerName' | 'publicUrl' | 'port'>

interface RunningNow {
  pid: number
  url: string
  port: number
}

export interface ClaimedDataDir {
  killedRun: KilledRun | undefined
  release(): Promise<void>
}

interface KilledRun {
  workerName: string
}
