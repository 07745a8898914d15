/**
 * The command protocol: how any executable is a model.
 *
 * The command is started once per run, in a process group of its own. It gets the input as one JSON object on stdin,
 * then end of file. Its environment has MILLRACE_WORK_DIR, a folder of this run alone for the files it
 * makes, and what the description says under `env` and `environment`. Files of the input are local paths.
 *
 * Each line of stdout that is a JSON object with one of these events means something; every other line, and
 * all of stderr, is log.
 *
 *   {"event":"output","text":"…"}                                a part of a text output, shown as it comes
 *   {"event":"log","text":"…"}
 *   {"event":"progress","percent":40}
 *   {"event":"usage","usage":{"page":3}}                          how much was used so far, by the units of prices
 *   {"event":"file","path":"out.png","name":"…","content_type":"image/png"}   a finished file; path within the work folder
 *   {"event":"result","output":…}                                any JSON: the whole output
 *
 * Exit code 0 is success. Without a result the output is what `output` and `file` gave: one text, or the
 * array of files. Inside a result, {"$file":"out.png","name":"…","contentType":"…"} stands for a file. Any other exit
 * code fails the run with the last lines of stderr. A cancelled run gets SIGTERM, and SIGKILL if it stays. One whose
 * processes together use more than `memory_mb` of memory gets SIGKILL and fails.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { basename, resolve } from 'node:path'
import { type CommandEvent, commandEvent } from '@millrace/models/command-events'
import type { RunContext } from '@millrace/models/define-model'
import type { ModelProvider } from '@millrace/models/description'
import { ownEnvironment } from './config.ts'
import { guardGroup } from './guard-group.ts'
import { MAX_OUTPUT_BYTES } from './host-messages.ts'
import type { ModelRun } from './hosted-run.ts'
import { killGroup } from './kill-group.ts'
import { limitMemory } from './limit-memory.ts'
import { lines } from './lines.ts'
import { InvalidOutput } from './output-json.ts'
import { withVariables } from './remote/variables.ts'

/**
 * Makes a run of a command: a generator that yields what the command's lines say. `tellGroup` hears of each process group
 * that begins and ends, for whoever has to end it when this process is killed.
 */
export function commandRun(provider: CommandProvider, tellGroup: TellGroup): ModelRun {
  return async function* run(input, context) {
    const group = startGroup(provider, input, context, tellGroup)
    let result: { output?: unknown } = {}
    try {
      await group.started
      for await (const { text, whole } of lines(group.stdout, MAX_LINE_LENGTH)) {
        if (!whole && text.startsWith('{')) {
          throw new InvalidOutput(
            `A line of JSON is longer than ${MAX_LINE_LENGTH >> 20} MB: return large results as files`,
          )
        }
        const event = whole ? commandEvent(text) : undefined
        switch (event?.event) {
          case undefined:
            context.log(text)
            break
          case 'log':
            context.log(event.text)
            break
          case 'progress':
            context.progress(event.percent)
            break
          case 'usage':
            context.usage(event.usage)
            break
          case 'output':
            yield event.text
            break
          case 'file':
            yield fileOf(event, context.workDir)
            break
          case 'result':
            result = event
            break
        }
      }
      const fault = await group.ended
      if (fault) {
        throw new Error(fault)
      }
      return result.output
    } finally {
      group.kill('SIGKILL')
    }
  }
}

function startGroup(
  { command, env, cwd, memory_mb }: CommandProvider,
  input: unknown,
  context: RunContext<unknown>,
  tellGroup: TellGroup,
) {
  const [program = '', ...parameters] = command
  const own = ownEnvironment()
  const child = spawn(program, parameters, {
    cwd,
    env: { ...own, ...withVariables(env, own), MILLRACE_WORK_DIR: context.workDir },
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const tell = (lives: boolean) => child.pid !== undefined && tellGroup(child.pid, lives)
  tell(true)
  const callOff = guardGroup(child.pid)
  const kill = (signal: NodeJS.Signals) => killGroup(child.pid, signal)
  let tail = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    tail = (tail + text).slice(-TAIL_LENGTH)
    context.log(text)
  })
  // A command need not read its input.
  child.stdin.on('error', () => undefined).end(JSON.stringify(input))
  endOnAbort(context.signal, kill)

  // Nothing outlives the process around it, however that ends.
  const killAll = () => kill('SIGKILL')
  process.once('exit', killAll)
  const memory = limitMemory({ leader: child.pid, megabytes: memory_mb, kill: killAll, log: context.log })
  const ended = once(child, 'exit').then(([code, signal]) => {
    process.off('exit', killAll)
    // What the command left behind would hold its stdout open for ever.
    killAll()
    callOff()
    memory.callOff()
    tell(false)
    return memory.fault() ?? (code === 0 ? undefined : faultOf(code, signal, tail))
  })
  ended.catch(() => process.off('exit', killAll))
  const started = once(child, 'spawn').catch((error: Error) => {
    throw new Error(`The command could not be started: ${error.message}`)
  })
  return { stdout: child.stdout, started, ended, kill }
}

function endOnAbort(signal: AbortSignal, kill: (signal: NodeJS.Signals) => void): void {
  const end = () => {
    kill('SIGTERM')
    setTimeout(() => kill('SIGKILL'), TERM_GRACE_MS).unref()
  }
  if (signal.aborted) {
    end()
  } else {
    signal.addEventListener('abort', end, { once: true })
  }
}

function fileOf({ path, name, content_type }: Extract<CommandEvent, { event: 'file' }>, workDir: string) {
  return {
    $file: resolve(workDir, path),
    name: basename(name ?? path),
    ...(content_type === undefined ? {} : { contentType: content_type }),
  }
}

function faultOf(code: number | null, signal: string | null, tail: string): string {
  const how = signal ? `was ended by ${signal}` : `ended with exit code ${code}`
  return `The command ${how}${tail.trim() ? `: ${tail.trim()}` : ''}`
}

const MAX_LINE_LENGTH = 2 * MAX_OUTPUT_BYTES

const TAIL_LENGTH = 2000

/** Well under the grace of the process around it, which would lose its warm neighbours. */
const TERM_GRACE_MS = 5000

type CommandProvider = Extract<ModelProvider, { kind: 'command' }>

/** Hears that the process group led by `pid` lives, or is gone. */
export type TellGroup = (pid: number, lives: boolean) => void
