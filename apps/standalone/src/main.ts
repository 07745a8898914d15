import { untilSignal } from '@millrace/process/until-signal'
import { readConfig } from './config.ts'
import { startStandalone } from './standalone.ts'
import { StartProblem } from './start-problem.ts'
import { createTerminal } from './terminal.ts'

// `npm start` in one process tree: the database, the migrations, then api, worker and dispatcher under a supervisor.
const terminal = createTerminal()
try {
  const config = readConfig()
  const stopRequested = Promise.race([untilSignal(), untilLauncherDies()])
  const interrupted = new AbortController()
  void stopRequested.then(() => interrupted.abort())

  const standalone = await startStandalone(config, terminal, interrupted.signal)
  await stopRequested
  terminal.step('Stopping: work in progress is finished or handed back (Ctrl-C again hurries)')
  process.on('SIGINT', standalone.hurry)
  process.on('SIGTERM', standalone.hurry)
  await standalone.stop()
  terminal.step('Stopped')
  process.exit()
} catch (error) {
  if (!(error instanceof StartProblem)) throw error
  terminal.problem(error)
  process.exit(1)
}

/** The launcher holds a channel open; when it is killed, nobody would be left to stop this. */
function untilLauncherDies(): Promise<void> {
  return new Promise((resolve) => {
    if (process.connected) process.once('disconnect', () => resolve())
  })
}
