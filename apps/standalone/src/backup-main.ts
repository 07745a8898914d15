import { resolve } from 'node:path'
import { backUp } from './backup.ts'
import { readConfig } from './config.ts'
import { restore } from './restore.ts'
import { StartProblem } from './start-problem.ts'
import { listenForStop } from './stop-requests.ts'
import { createTerminal } from './terminal.ts'

// `npm run backup -- FOLDER` and `npm run restore -- FOLDER`, with the settings of `npm start`.
const { stop } = listenForStop()
const terminal = createTerminal()
const [command = '', folder] = process.argv.slice(2)
try {
  if (!folder) throw new StartProblem('Name a folder.', `npm run ${command} -- ../millrace-backup`)
  const run = command === 'restore' ? restore : backUp
  await run(readConfig(), resolve(folder), { terminal, stop })
  process.exit()
} catch (error) {
  if (stop.aborted) terminal.step('Stopped; nothing is finished')
  else if (error instanceof StartProblem) terminal.problem(error)
  else throw error
  process.exit(1)
}
