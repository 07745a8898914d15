// `npm run bench`: installs what is missing, then measures. Node 20 must be able to run this file.
// Arguments go to bench/run.ts: `npm run bench -- --only life --rounds 1`.
import { join } from 'node:path'
import { ensureInstalled, root, withCommands } from './install.mjs'
import { giveUp, handOver } from './steps.mjs'
import { ensureRedis, ensureWrk } from './system-packages.mjs'

process.once('SIGINT', () => {})

try {
  await ensureInstalled({ dev: true })
  await ensureRedis()
  await ensureWrk()
  const program = [join(root, 'bench', 'run.ts'), ...process.argv.slice(2)]
  process.exitCode = await handOver('node', ['--disable-warning=ExperimentalWarning', ...program], {
    cwd: root,
    env: withCommands(),
  })
} catch (error) {
  giveUp(error)
}
