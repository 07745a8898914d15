import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { ModelDescription } from '@millrace/models/description'
import { createValidator } from '@millrace/models/validate'
import { createGuard } from '@millrace/outbound/guard'
import { openProvider } from '@millrace/providers/open-provider'
import type { Outcome, RunEvent } from '@millrace/providers/provider'
import type { ModelsConfig } from './config.ts'
import { bringFiles, strayFields, typedInput } from './given-input.ts'
import { createProgressBar, type ProgressBar } from './progress-bar.ts'
import { saveOutput } from './save-output.ts'
import { seenFrom } from './seen-from.ts'

/**
 * Runs a model once, here, as a worker would, but without a database: logs and progress go to stderr, the output to
 * stdout and its files into the folder `out`. Answers the exit code; throws what can be put right, in words.
 */
export async function tryModel(
  description: ModelDescription,
  { input: given, out }: Given,
  config: ModelsConfig,
): Promise<number> {
  const typed = await typedInput(given, description, config.folder)
  const checked = createValidator(description)(typed)
  const strays = strayFields(typed, description)
  // A service takes such a field as well, and the model never sees what it was meant for.
  for (const { name, meant } of strays) {
    const hint = meant === undefined ? '' : `; did you mean "${meant}"?`
    console.error(`note: "${name}" is not a field of ${description.namespace}${hint}`)
  }
  if (!checked.ok) {
    for (const { path, message } of checked.fields) console.error(`${path || 'input'}: ${message}`)
    const [local] = checked.fields.filter(({ message }) => message.startsWith('must be a URL'))
    if (local) console.error(`A file of this machine is given as -i ${local.path}=@path`)
  }
  if (!checked.ok || strays.length > 0) console.error(fieldsOf(description))
  if (!checked.ok) return 1
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
    return await tell(outcome, description, { folder: resolve(config.folder, out), here: config.folder })
  } finally {
    bar.end()
    await provider.close()
    await rm(workDir, { recursive: true, force: true })
  }
}

function fieldsOf({ namespace, input_schema }: ModelDescription): string {
  const required: unknown = input_schema.required
  const names = Object.keys(input_schema.properties ?? {}).map((name) =>
    Array.isArray(required) && required.includes(name) ? name : `[${name}]`,
  )
  return `${namespace} takes: ${names.length === 0 ? 'no fields that it names' : names.join(', ')}`
}

function show(event: RunEvent, bar: ProgressBar): void {
  if (event.kind === 'ready') bar.begin()
  if (event.kind === 'progress') bar.set(event.percent)
  if (event.kind === 'log') bar.above(event.text)
  if (event.kind === 'usage') bar.above(`usage: ${JSON.stringify(event.usage)}\n`)
}

async function tell(
  outcome: Outcome,
  { file, provider }: ModelDescription,
  place: { folder: string; here: string },
): Promise<number> {
  switch (outcome.kind) {
    case 'succeeded':
      console.log(await saveOutput(outcome.output, place))
      return 0
    case 'failed':
      console.error(`${outcome.code}: ${outcome.detail}`)
      if (provider.kind === 'module') sayPlace(outcome.stack, file, place.here)
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

/** Where in the model's own file it was thrown: the rest of a stack would tell of our code. */
function sayPlace(stack: string | undefined, file: string, here: string): void {
  const [, line] = stack?.split(`${pathToFileURL(file).href}:`) ?? []
  if (line !== undefined) console.error(`thrown in ${seenFrom(here, file)}:${Number.parseInt(line, 10)}`)
}

/** What was typed. */
interface Given {
  input: readonly string[]
  /** Where files of the output go. */
  out: string
}
