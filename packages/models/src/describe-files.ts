import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { modelEnvironment } from './config.ts'
import type { Fault } from './describe-text.ts'
import type { ModelDescription } from './description.ts'

/**
 * Describes modules in child processes. One child does them all, one after the other; when it dies or stalls, the
 * file it was at is tried once more alone (an earlier file may have broken the process) before it is blamed.
 */
export async function describeFiles(files: readonly SourceFile[]): Promise<Described[]> {
  const described: Described[] = []
  const child = new DescribingChild()
  try {
    for (const file of files) {
      const alone = child.fresh
      const answer = await child.describe(file)
      described.push(answer.died && !alone ? await child.describe(file) : answer)
    }
  } finally {
    child.end()
  }
  return described
}

class DescribingChild {
  #process: ChildProcess | undefined
  #errors = ''

  /** Whether the next file will be the first of its process. */
  get fresh(): boolean {
    return this.#process === undefined
  }

  describe({ file, source }: SourceFile): Promise<Described> {
    this.#process ??= this.#start()
    const child = this.#process
    return new Promise((resolve) => {
      const finish = (answer: Described) => {
        clearTimeout(timer)
        child.off('message', hear).off('exit', died).off('error', died)
        if (answer.died) {
          this.end()
        }
        resolve(answer)
      }
      const hear = (message: Described) => {
        if (message.file === file) {
          finish(message)
        }
      }
      const died = () =>
        finish({
          file,
          died: true,
          faults: [{ reason: `The file ends the process that imports it${this.#lastError()}` }],
        })
      const stalled = () =>
        finish({
          file,
          died: true,
          faults: [{ reason: `Importing the file takes more than ${patienceMs / 1000} s` }],
        })
      const timer = setTimeout(stalled, patienceMs)
      child.on('message', hear).on('exit', died).on('error', died)
      child.send({ file, source }, () => undefined)
    })
  }

  end(): void {
    this.#process?.kill('SIGKILL')
    this.#process = undefined
  }

  #start(): ChildProcess {
    this.#errors = ''
    const child = fork(program, {
      env: modelEnvironment(),
      execArgv: quietly,
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#errors = (this.#errors + text).slice(-2000)
    })
    return child
  }

  #lastError(): string {
    const line = this.#errors.split('\n').find((text) => /^\w*Error\b/.test(text))
    return line ? `: ${line}` : ''
  }
}

/** Longer than any honest import on a busy machine; loading weights belongs in `setup`. */
const patienceMs = 15_000

const program = fileURLToPath(new URL('./describe.ts', import.meta.url))

/** Warnings about how the model's file was loaded tell its users nothing. */
const quietly = ['--disable-warning=ExperimentalWarning', '--disable-warning=MODULE_TYPELESS_PACKAGE_JSON']

/** A module, with the text to import in its place: on disk it may be another by now. */
export interface SourceFile {
  file: string
  source: string
}

/** What became of one file. */
export type Described =
  | { file: string; died?: undefined; description: ModelDescription; faults?: undefined }
  | { file: string; died?: boolean; description?: undefined; faults: Fault[] }
