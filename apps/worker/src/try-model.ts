import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ModelDescription } from '@millrace/models/description'
import { createValidator } from '@millrace/models/validate'
import { createGuard } from '@millrace/outbound/guard'
import { openProvider } from '@millrace/providers/open-provider'
import type { Outcome, RunEvent } from '@millrace/providers/provider'
import type { ModelsConfig } from './config.ts'
import { bringFiles, typedInput } from './given-input.ts'
import { createProgressBar } from './progress-bar.ts'
import { saveOutput } from './save-output.ts'

/**
 * Runs a model once, here, as a worker would, but without a database: logs and progress go to stderr, the output to
 * stdout and its files into the folder. Answers the exit code.
 */
export async function tryModel(
  description: ModelDescription,
  given: readonly string[],
  config: ModelsConfig,
): Promise<number> {
  const checked = createValidator(description)(await typedInput(given, description, config.folder))
  if (!checked.ok) {
    for (const { path, message } of checked.fields) console.error(`${path || 'input'}: ${message}`)
    return 1
  }
  // Whoever types this may reach what this machine reaches.
  const guard = createGuard({ allow: ['0.0.0.0/0', '::/0'], loopback: true })
  const { hostSettings: environment, maxFileBytes } = config
  const provider = openProvider(description, {
    guard,
    environment,
    maxFileBytes,
    abortGraceMs: config.cancelGraceSeconds * 1000,
  })
  const workDir = await mkdtemp(join(tmpdir(), 'millrace-try-'))
  const bar = createProgressBar(process.stderr)
  const stop = new AbortController()
  process.once('SIGINT', () => stop.abort('cancel'))
  try {
    const input = await bringFiles(checked.input, description, provider.wants, {
      workDir,
      guard,
      maxFileBytes,
      signal: stop.signal,
    })
    const outcome = await provider.run({
      id: `try-${Date.now()}`,
      attempt: 1,
      input,
      workDir,
      signal: stop.signal,
      emit: (event) => show(event, bar),
    })
    bar.end()
    return await tell(outcome, description, config.folder)
  } finally {
    bar.end()
    await provider.close()
    await rm(workDir, { recursive: true, force: true })
  }
}

function show(event: RunEvent, bar: ReturnType<typeof createProgressBar>): void {
  if (event.kind === 'progress') bar.set(event.percent)
  if (event.kind === 'log') bar.above(event.text)
}

async function tell(outcome: Outcome, { provider }: ModelDescription, folder: string): Promise<number> {
  switch (outcome.kind) {
    case 'succeeded':
      console.log(await saveOutput(outcome.output, folder))
      return 0
    case 'failed':
      console.error(`${outcome.code}: ${outcome.detail}`)
      // Of any other kind it would tell of our own code.
      if (provider.kind === 'module' && outcome.stack !== undefined) console.error(outcome.stack)
      return 1
    case 'unavailable':
      console.error(`Its host is not available: ${outcome.reason}`)
      return 1
    case 'crashed':
      console.error(outcome.detail)
      return 1
    case 'aborted':
      console.error('Stopped.')
      return 130
    default:
      return outcome satisfies never
  }
}
