import { readConfig } from './config.ts'
import { startStandalone } from './standalone.ts'
import { StartProblem } from './start-problem.ts'
import { listenForStop } from './stop-requests.ts'
import { createTerminal } from './terminal.ts'

// `npm start` in one process tree: the database, the migrations, then api, worker and dispatcher under a supervisor.
const requests = listenForStop()
const terminal = createTerminal()
try {
  const standalone = await startStandalone(readConfig(), terminal, requests)
  await untilAborted(requests.stop)
  terminal.step('Stopping: work in progress is finished or handed back (Ctrl-C again hurries)')
  await standalone.stop()
  terminal.step('Stopped')
  process.exit()
} catch (error) {
  if (!(error instanceof StartProblem)) throw error
  terminal.problem(error)
  process.exit(1)
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
