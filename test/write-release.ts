import { execFile } from 'node:child_process'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { callerOf } from './api-caller.ts'
import { startReceiver } from './harness/receiver.ts'
import { freshDataDir, runStandalone } from './harness/standalone.ts'
import { answersOf, givenHistory } from './whole-history.ts'

/**
 * `node test/write-release.ts 0.1.0`, once before a release: lets this code make something of everything and keeps its
 * backup, and what its api answers, in test/fixtures/releases. Every later release must be able to go on with that.
 */
const [release] = process.argv.slice(2)
if (!release) throw new Error('Which release? node test/write-release.ts 0.1.0')
const folder = fileURLToPath(new URL(`fixtures/releases/${release}`, import.meta.url))
const dataDir = await freshDataDir()
const receiver = await startReceiver()
const standalone = await runStandalone(dataDir.path, { CONCURRENCY: '1' })
try {
  await standalone.untilReady()
  const call = callerOf(standalone.url, await dataDir.read('api-key'))
  const history = await givenHistory(call, receiver.url)
  const answers = await answersOf(call, history)
  await rm(folder, { recursive: true, force: true })
  await mkdir(dirname(folder), { recursive: true })
  const main = fileURLToPath(new URL('../apps/standalone/src/backup-main.ts', import.meta.url))
  await promisify(execFile)(process.execPath, [main, 'backup', folder], { env: standalone.environment })
  await writeFile(join(folder, 'answers.json'), `${JSON.stringify({ history, answers }, undefined, 2)}\n`)
} finally {
  standalone.signal('SIGTERM')
  await standalone.exited
  await receiver.close()
  await dataDir.remove()
}
