import { setTimeout as delay } from 'node:timers/promises'

/** The predictor inside the fake container: does what its input says and yields its output, chunk by chunk. */
export async function* obey(input: CogInput, scope: Scope): AsyncGenerator<string> {
  const { text = '' } = input
  switch (input.do) {
    case 'fail':
      throw new Error(text || 'The model gave up')
    case 'reject':
      throw new InvalidInput(`text: ${text || 'is not for this model'}`)
    case 'log':
      scope.print('stdout', `${text}\n`)
      yield text.toUpperCase()
      return
    case 'progress':
      scope.print('stderr', ' 50%|#####     | 5/10 [00:01<00:01]\r')
      scope.measure('steps', 10)
      yield text.toUpperCase()
      return
    case 'stream':
      yield* text.match(/\S+\s*/g) ?? []
      return
    case 'file':
      yield* await Promise.all((text || 'file').split(' ').map((bytes) => scope.file(bytes)))
      return
    case 'take-file':
      yield String(await sizeOf(input.file ?? ''))
      return
    case 'prints-and-hangs':
      scope.print('stdout', 'first\n')
      scope.print('stdout', 'second\n')
      yield* await hang(scope)
      return
    case 'hang':
    case 'cut':
      yield* await hang(scope)
      return
    case 'endless':
      for (;;) {
        // Large and seldom, since each webhook holds all that there is so far.
        yield 'again '.repeat(400_000)
        await delay(300, undefined, { signal: scope.signal })
      }
    default:
      yield text.toUpperCase()
  }
}

/** What a predictor raises to say that its input will not do: answered 422 where the answer still can be. */
export class InvalidInput extends Error {}

async function hang({ signal, released }: Scope): Promise<string[]> {
  signal.throwIfAborted()
  const cancelled = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
  await Promise.race([released, cancelled])
  return ['DONE']
}

async function sizeOf(address: string): Promise<number> {
  // Cog fetches URLs and reads data URLs, and nothing else.
  if (!/^(https?|data):/.test(address)) throw new InvalidInput('file: is no URL')
  return (await (await fetch(address)).arrayBuffer()).byteLength
}

/** What the container is told by the run's own input. */
export interface CogInput {
  do:
    | 'succeed'
    | 'fail'
    | 'refuse-input'
    | 'busy'
    | 'down'
    | 'slow-start'
    | 'stream'
    | 'progress'
    | 'log'
    | 'file'
    | 'take-file'
    | 'hang'
    | 'garbage'
    | 'cut'
    /** The model itself finds fault with its input. */
    | 'reject'
    /** An output that never ends. */
    | 'endless'
    /** An answer that never ends. */
    | 'flood'
    /** Says two things, and then nothing. */
    | 'prints-and-hangs'
    /** JSON that is no prediction. */
    | 'wrong-json'
  text?: string
  file?: string
}

/** What the container gives its predictor. */
export interface Scope {
  signal: AbortSignal
  /** Comes about when work that hangs may go on. */
  released: Promise<void>
  print(source: 'stdout' | 'stderr', data: string): void
  measure(name: string, value: number): void
  /** A text file as an output: a data URL, or the URL it was uploaded to. */
  file(bytes: string): Promise<string>
}
