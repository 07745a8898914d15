import { randomUUID } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { copyFile, realpath, writeFile } from 'node:fs/promises'
import { basename, join, sep } from 'node:path'
import type { FileAbout, FileValue, RunContext } from '@millrace/models/define-model'
import { type ErrorText, errorText } from './error-text.ts'
import { InvalidOutput, jsonFault, tooLarge } from './output-json.ts'
import { isFileValue, OutputParts } from './output-parts.ts'
import type { OutputDelta, RunEvent } from './provider.ts'

/** One run inside the model's process: gives the model its context, and makes an answer of whatever it does. */
export function hostedRun({ run: key, input, workDir, emit, drained }: HostedRunRequest): HostedRun {
  const abort = new AbortController()
  const log = (text: string) => emit({ kind: 'log', text })
  const context = {
    signal: abort.signal,
    state: undefined as unknown,
    // Made when the model asks for it, which most do not.
    get workDir() {
      mkdirSync(workDir, { recursive: true })
      return workDir
    },
    log: (text: string) => log(text.endsWith('\n') ? text : `${text}\n`),
    progress: (percent: number) => emit({ kind: 'progress', percent }),
    usage: (usage: Readonly<Record<string, number>>) => emit({ kind: 'usage', usage }),
    file: (source: Uint8Array | string, about: FileAbout) => keepFile(context.workDir, source, about),
  }
  return {
    key,
    abort: () => abort.abort(),
    print: log,
    async perform(run, state) {
      try {
        context.state = state
        const gathered = await gather(await run(input, context), (delta) => {
          emit({ kind: 'output', delta })
          return drained()
        })
        const detail = jsonFault(gathered)
        return detail ? { code: 'INVALID_OUTPUT', detail } : { output: gathered }
      } catch (error) {
        return failure(error)
      }
    },
  }
}

async function gather(result: unknown, yielded: (delta: OutputDelta) => Promise<void>): Promise<unknown> {
  if (!isGenerator(result)) {
    return result
  }
  const parts = new OutputParts()
  for (;;) {
    const { done, value } = await result.next()
    if (done) {
      return value === undefined ? parts.whole() : value
    }
    if (!parts.add(value)) {
      await result.return?.(undefined)
      throw new InvalidOutput(tooLarge(parts.bytes))
    }
    const delta = deltaOf(value)
    if (delta !== undefined) {
      await yielded(delta)
    }
  }
}

/** Text and files can be shown before the output is whole; other JSON waits for it. */
function deltaOf(value: unknown): OutputDelta | undefined {
  if (isFileValue(value)) {
    const { $file, name, contentType } = value
    return { file: $file, name: String(name), ...(typeof contentType === 'string' ? { contentType } : {}) }
  }
  return typeof value === 'string' ? value : undefined
}

async function keepFile(
  workDir: string,
  source: Uint8Array | string,
  { name, contentType }: FileAbout,
): Promise<FileValue> {
  const shown = basename(name)
  const about = { name: shown, ...(contentType === undefined ? {} : { contentType }) }
  if (typeof source === 'string' && (await realpath(source)).startsWith((await realpath(workDir)) + sep)) {
    return { $file: source, ...about }
  }
  // Programs look at extensions; the rest of a name has no business in a path.
  const [extension = ''] = /\.\w{1,10}$/.exec(shown) ?? []
  const path = join(workDir, `${randomUUID()}${extension}`)
  await (typeof source === 'string' ? copyFile(source, path) : writeFile(path, source))
  return { $file: path, ...about }
}

function failure(error: unknown): Failure {
  if (error instanceof InvalidOutput) {
    return { code: 'INVALID_OUTPUT', detail: error.message }
  }
  return { code: 'MODEL_ERROR', ...errorText(error) }
}

function isGenerator(value: unknown): value is AsyncGenerator | Generator {
  return typeof value === 'object' && value !== null && 'next' in value && typeof value.next === 'function'
}

/** What a run needs: its place and input, where its events go, and when there is room for more of them. */
export interface HostedRunRequest {
  run: string
  input: Record<string, unknown>
  workDir: string
  emit(event: RunEvent): void
  drained(): Promise<void>
}

/** A run that can be performed once and aborted at any time. */
export interface HostedRun {
  key: string
  abort(): void
  /** What the model printed instead of logging it. */
  print(text: string): void
  perform(run: ModelRun, state: unknown): Promise<{ output: unknown } | Failure>
}

/** A model's `run`, its input already checked. */
export type ModelRun = (input: Record<string, unknown>, context: RunContext<unknown>) => unknown

interface Failure extends ErrorText {
  code: 'MODEL_ERROR' | 'INVALID_OUTPUT'
}
