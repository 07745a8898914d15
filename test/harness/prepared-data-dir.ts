import { execFile } from 'node:child_process'
import { mkdir, truncate, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { type DataDir, freshDataDir, runStandalone } from './standalone.ts'

/** What a first start and a stop in order leave behind, to start from as often as wanted without making a database. */
export async function prepareDataDir(): Promise<PreparedDataDir> {
  const prepared = await freshDataDir()
  const standalone = await runStandalone(prepared.path)
  await standalone.untilReady()
  standalone.signal('SIGTERM')
  await standalone.exited
  return {
    async copy() {
      const copied = await freshDataDir()
      const note = JSON.parse(await prepared.read('postgres.json'))
      const folder = clusterOf(copied, prepared, note.folder)
      await copy(`${prepared.path}/.`, copied.path)
      await writeFile(join(copied.path, 'postgres.json'), JSON.stringify({ ...note, folder }))
      if (!folder.startsWith(copied.path)) {
        await mkdir(dirname(folder), { recursive: true })
        await copy(note.folder, folder)
      }
      // What they say must come from the test.
      await Promise.all(['postgres.log', 'millrace.log'].map((log) => truncate(join(copied.path, log))))
      return copied
    },
    remove: prepared.remove,
  }
}

/** Root's database is kept outside of the data folder: the copy's beside the prepared one's then. */
function clusterOf(copied: DataDir, prepared: DataDir, cluster: string): string {
  if (cluster.startsWith(prepared.path)) return join(copied.path, 'postgres')
  return join(dirname(dirname(cluster)), basename(copied.path), 'postgres')
}

/** With owners and modes, which the server insists on. */
async function copy(from: string, to: string): Promise<void> {
  await promisify(execFile)('cp', ['-a', from, to])
}

export interface PreparedDataDir {
  copy(): Promise<DataDir>
  remove(): Promise<void>
}
