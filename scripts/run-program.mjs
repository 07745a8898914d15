import { join } from 'node:path'
import { ensureInstalled, root, withCommands } from './install.mjs'
import { giveUp, handOver } from './steps.mjs'

/**
 * Installs what is missing, sees to what the program `needs` besides, and runs it, a path from the project's root, with
 * the arguments that were given. Node 20 must be able to run this file.
 */
export async function runProgram(path, needs) {
  process.once('SIGINT', () => {})
  try {
    await ensureInstalled({ dev: true })
    for (const need of needs) await need()
    const program = [join(root, path), ...process.argv.slice(2)]
    process.exitCode = await handOver('node', ['--disable-warning=ExperimentalWarning', ...program], {
      cwd: root,
      env: withCommands(),
    })
  } catch (error) {
    giveUp(error)
  }
}
