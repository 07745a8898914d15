import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { Socket } from 'node:net'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { modelEnvironment } from '@millrace/models/config'
import type { ModelDescription } from '@millrace/models/description'
import { variablesOf } from '@millrace/models/variables'
import { guardGroup } from './guard-group.ts'
import { type FromHost, MAX_LINE_LENGTH, type ToHost } from './host-messages.ts'
import { killGroup } from './kill-group.ts'
import { lines } from './lines.ts'

/**
 * One process of one model, seen from the parent: starts it, says which runs are in it, hears what becomes of them,
 * and knows when and how it died. It is the leader of a process group, so that killing it leaves nothing behind, and
 * Ctrl-C in a terminal does not reach it before the runs are drained.
 */
export class ModelProcess {
  /** What became of `setup`: undefined when it went well, else why no run can begin here. Never rejects. */
  readonly setup: Promise<SetupFault | undefined>
  /** Resolves when the process is gone and everything it said has been heard. */
  readonly gone: Promise<void>

  readonly #child: ChildProcess
  readonly #channel: Socket
  readonly #runs = new Map<string, ProcessRun>()
  readonly #runsCommands: boolean
  readonly #groups = new Set<number>()
  #setUp: (fault: SetupFault | undefined) => void = () => undefined
  #ending = false
  #isUp = false

  constructor({ file, provider, environment }: ModelDescription) {
    this.#runsCommands = provider.kind === 'command'
    const source = provider.kind === 'module' ? provider.source : undefined
    const started = provider.kind === 'module' ? { ...provider, source: undefined } : provider
    this.#child = spawn(process.execPath, [...hostFlags, program, JSON.stringify(started)], {
      cwd: provider.kind === 'command' ? provider.cwd : dirname(file),
      env: modelEnvironment([...environment, ...variablesOf({ provider, requires: [] })]),
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    })
    const channel = this.#child.stdio[3]
    if (!(channel instanceof Socket)) {
      throw new Error('A model process has no channel')
    }
    this.#channel = channel.on('error', () => undefined)
    // Not as an argument: those are short, and for everybody on the machine to read.
    this.tell({ source })
    this.#child.stdout?.on('data', (printed: Buffer) => this.#print(printed))
    this.#child.stderr?.on('data', (printed: Buffer) => this.#print(printed))
    this.setup = new Promise((resolve) => {
      this.#setUp = resolve
    })
    this.gone = this.#live()
  }

  get runs(): number {
    return this.#runs.size
  }

  /** Dead, dying, or told to go: the next run needs another process. */
  get ending(): boolean {
    return this.#ending
  }

  /** Set up, and here for the next run. */
  get isUp(): boolean {
    return this.#isUp && !this.#ending
  }

  /** Attaches a run, from its wait for `setup` on: until `leave`, it hears what the process says to it. */
  join(key: string, run: ProcessRun): void {
    this.#runs.set(key, run)
  }

  leave(key: string): void {
    this.#runs.delete(key)
  }

  tell(message: ToHost): void {
    this.#channel.write(`${JSON.stringify(message)}\n`)
  }

  /** Lets the process leave by itself, which it does at once unless it is stuck. */
  end(): void {
    this.#ending = true
    this.#channel.destroy()
    const timer = setTimeout(() => this.kill(), FAREWELL_MS)
    void this.gone.then(() => clearTimeout(timer))
  }

  kill(): void {
    this.#ending = true
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      killGroup(this.#child.pid, 'SIGKILL')
    }
  }

  async #live(): Promise<void> {
    const callOff = guardGroup(this.#child.pid)
    const exit = once(this.#child, 'exit').catch((error: Error): [null, string] => [null, error.message])
    const heard = this.#hear()
    const [code, signal] = await exit
    this.#ending = true
    // What the process said last is still on its way; a descendant that holds the socket open is not waited for.
    await Promise.race([heard, new Promise((resolve) => setTimeout(resolve, FAREWELL_MS).unref())])
    this.#channel.destroy()
    // Before the runs are told: none may go on beside its next attempt.
    for (const pid of [...this.#groups, this.#child.pid]) {
      killGroup(pid, 'SIGKILL')
    }
    callOff()
    const how = signal === null ? `ended by itself with exit code ${code}` : `died (${signal})`
    this.#setUp({ detail: `The model's process ${how} while it was starting`, died: signal !== null })
    for (const run of [...this.#runs.values()]) {
      run.died(`The model's process ${how}`)
    }
  }

  async #hear(): Promise<void> {
    try {
      for await (const { text, whole } of lines(this.#channel, MAX_LINE_LENGTH)) {
        if (!whole) {
          throw new Error('A line is longer than any message')
        }
        this.#take(JSON.parse(text))
      }
    } catch {
      // The model wrote into the channel itself, or closed it: nothing from this process can be believed any more.
      this.kill()
    }
  }

  #take(message: FromHost): void {
    switch (message.kind) {
      case 'set-up':
        this.#isUp = true
        this.#setUp(undefined)
        break
      case 'setup-failed': {
        const { detail, stack } = message
        this.#ending = true
        this.#setUp({
          detail: `The model could not start: ${detail}`,
          died: false,
          ...(stack ? { stack } : {}),
        })
        break
      }
      case 'leaving':
        this.#ending = true
        break
      case 'group':
        this.#noteGroup(message.pid, message.lives)
        break
      default:
        this.#runs.get(message.run)?.hear(message)
    }
  }

  /** Only the host of commands is believed: in any other the model itself could name groups to be killed. */
  #noteGroup(pid: number, lives: boolean): void {
    if (lives && this.#runsCommands) {
      this.#groups.add(pid)
    } else {
      this.#groups.delete(pid)
    }
  }

  /**
   * Something was printed past the model's own streams (native code, a descendant). With several runs inside nobody
   * knows whose it is, and one customer must not read another's log: then it is dropped.
   */
  #print(printed: Buffer): void {
    const [only] = this.#runs.values()
    if (only && this.#runs.size === 1) {
      only.print(printed)
    }
  }
}

const program = fileURLToPath(new URL('./model-host.ts', import.meta.url))

/** The young generation is kept as small as an app's (node-flags.ts); how much a model may hold is its own affair. */
const hostFlags = [
  '--disable-warning=ExperimentalWarning',
  '--disable-warning=MODULE_TYPELESS_PACKAGE_JSON',
  '--max-semi-space-size=8',
]

const FAREWELL_MS = 2000

/** A run as its process sees it. */
export interface ProcessRun {
  hear(message: Extract<FromHost, { run: string }>): void
  print(printed: Buffer): void
  died(how: string): void
}

/** Why no run can begin: `died` when something outside killed it, which is not the model's fault. */
export interface SetupFault {
  detail: string
  died: boolean
  stack?: string
}
