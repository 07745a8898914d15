import { createJobLog } from './job-log.ts'
import type { Call } from './open-remote.ts'
import { isAddress } from './rehost.ts'
import { textOf, writesText } from './shape-output.ts'

/** Tells what is new of a job that is looked at again and again, each thing once and in its order. */
export function createTeller({ emit, description }: Pick<Call, 'emit' | 'description'>): Teller {
  const log = createJobLog(emit)
  let begun = false
  let told = ''
  let silent = !writesText(description)

  function begin() {
    if (begun) return
    begun = true
    emit({ kind: 'ready' })
  }

  return {
    begin,
    log(whole) {
      if (typeof whole === 'string') log(whole)
    },
    say(text) {
      // The parts of an output that is no text are whole files.
      if (told === '' && isAddress(text)) silent = true
      if (silent || text === '') return
      begin()
      told += text
      emit({ kind: 'output', delta: text })
    },
    end(output) {
      begin()
      const whole = textOf(output) ?? ''
      const rest = told !== '' && whole.startsWith(told) ? whole.slice(told.length) : ''
      if (rest !== '') emit({ kind: 'output', delta: rest })
      silent = true
    },
  }
}

export interface Teller {
  /** The work has begun. */
  begin(): void
  /** All that it has logged so far. */
  log(whole: unknown): void
  /** A part of a text. */
  say(text: string): void
  /** What the text came to: the parts that were not heard of are told, and none after that. */
  end(output: unknown): void
}
