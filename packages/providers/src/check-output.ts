import { mkdir, realpath, stat } from 'node:fs/promises'
import { basename, resolve, sep } from 'node:path'
import type { FileValue } from '@millrace/models/define-model'
import type { OutputValidator } from '@millrace/models/validate'
import { jsonFault } from './output-json.ts'
import { isFileValue } from './output-parts.ts'
import type { Outcome } from './provider.ts'

/**
 * Checks an output as the model's process sent it: depth and size, files that exist inside the run's own folder, and
 * the model's output schema, for which a file is a URL. Answers the outcome of the run.
 */
export async function checkOutput(
  raw: unknown,
  { workDir, validate, seconds }: OutputCheck,
): Promise<Outcome> {
  const fault = jsonFault(raw)
  if (fault) {
    return invalid(fault)
  }
  try {
    const files = filesIn(raw)
    const located = await locateAll(files, workDir)
    const output = files.length === 0 ? raw : replaceFiles(raw, (file) => located.get(file))
    const seen = files.length === 0 ? raw : replaceFiles(raw, () => 'https://file.invalid/')
    const wrong = validate(seen).map(({ path, message }) => `${path || 'output'} ${message}`)
    return wrong.length > 0
      ? invalid(`The output breaks the model's schema: ${wrong.slice(0, 5).join('; ')}`)
      : { kind: 'succeeded', output, predictSeconds: seconds }
  } catch (error) {
    return invalid(error instanceof Error ? error.message : String(error))
  }
}

function invalid(detail: string): Outcome {
  return { kind: 'failed', code: 'INVALID_OUTPUT', detail }
}

async function locateAll(files: FileValue[], workDir: string): Promise<Map<FileValue, FileValue>> {
  if (files.length === 0) return new Map()
  // A model that never asked for its folder has none, and names a file elsewhere.
  await mkdir(workDir, { recursive: true })
  const root = await realpath(workDir)
  return new Map(await Promise.all(files.map(async (file) => [file, await locate(file, root)] as const)))
}

/** A link out of the work folder would publish a file of this machine. */
async function locate({ $file, name, contentType }: FileValue, root: string): Promise<FileValue> {
  const shown = basename(typeof name === 'string' && name !== '' ? name : $file)
  const real = await realpath(resolve(root, $file)).catch(() => undefined)
  if (!real?.startsWith(root + sep) || !(await stat(real)).isFile()) {
    throw new Error(`The output names a file that is not in the run's work folder: ${shown}`)
  }
  return { $file: real, name: shown, ...(typeof contentType === 'string' ? { contentType } : {}) }
}

function filesIn(value: unknown, found: FileValue[] = []): FileValue[] {
  if (isFileValue(value)) found.push(value)
  else if (Array.isArray(value)) for (const item of value) filesIn(item, found)
  else if (typeof value === 'object' && value !== null)
    for (const item of Object.values(value)) filesIn(item, found)
  return found
}

function replaceFiles(value: unknown, change: (file: FileValue) => unknown): unknown {
  if (isFileValue(value)) {
    return change(value)
  }
  if (Array.isArray(value)) {
    return value.map((item) => replaceFiles(item, change))
  }
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, replaceFiles(item, change)]))
  }
  return value
}

/** Against what an output is checked, and how long it took to make. */
export interface OutputCheck {
  workDir: string
  validate: OutputValidator
  seconds: number
}
