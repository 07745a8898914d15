// `npm start`: installs what is missing, then runs everything. Node 20 must be able to run this file.
import { codeNode, ensureInstalled, root, withCommands } from './install.mjs'
import { giveUp, handOver } from './steps.mjs'

try {
  await ensureInstalled({ dev: false })
  const main = ['--disable-warning=ExperimentalWarning', 'apps/standalone/src/main.ts']
  process.exitCode = await handOver(codeNode(), main, { cwd: root, env: withCommands(), channel: true })
} catch (error) {
  giveUp(error)
}
