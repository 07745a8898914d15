// `npm run backup` and `npm run restore`: installs what is missing, as `npm start` does. Node 20 must be able to run this.
import { codeNode, ensureInstalled, root, withCommands } from './install.mjs'
import { giveUp, handOver } from './steps.mjs'

try {
  await ensureInstalled({ dev: false })
  const main = ['--disable-warning=ExperimentalWarning', 'apps/standalone/src/backup-main.ts']
  const [command, ...folder] = process.argv.slice(2)
  process.exitCode = await handOver(codeNode(), [...main, command, ...folder], {
    cwd: root,
    env: withCommands(),
    channel: true,
  })
} catch (error) {
  giveUp(error)
}
