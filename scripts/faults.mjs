// `npm run faults`: installs what is missing, then breaks the service at length. Node 20 must be able to run this file.
// Arguments go to test/faults/run.ts: `npm run faults -- --only kill-worker`.
import { join } from 'node:path'
import { ensureInstalled, root, withCommands } from './install.mjs'
import { giveUp, handOver } from './steps.mjs'
import { ensureRedis, offerFaketime } from './system-packages.mjs'

process.once('SIGINT', () => {})

try {
  await ensureInstalled({ dev: true })
  await ensureRedis()
  await offerFaketime()
  const program = [join(root, 'test', 'faults', 'run.ts'), ...process.argv.slice(2)]
  process.exitCode = await handOver('node', ['--disable-warning=ExperimentalWarning', ...program], {
    cwd: root,
    env: withCommands(),
  })
} catch (error) {
  giveUp(error)
}
