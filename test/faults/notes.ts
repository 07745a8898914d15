import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CreateBody } from './load.ts'

/** A file into which the model `noted` says what is done with its runs, whoever holds them. */
export async function openNotes(): Promise<Notes> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-notes-'))
  const file = join(folder, 'notes')
  await writeFile(file, '')
  const read = (): Note[] =>
    readFileSync(file, 'utf8')
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line))
  return {
    body: (name, delayMs, againMs = delayMs) => ({
      model: 'noted',
      input: { notes: file, name, word: randomUUID(), delay_ms: delayMs, again_ms: againMs },
    }),
    read,
    of: (name) => read().filter((note) => note.name === name),
    remove: () => rm(folder, { recursive: true, force: true, maxRetries: 3 }),
  }
}

export interface Notes {
  /** What to send for a run that is called `name` here and takes so long, and `againMs` if it has to be done again. */
  body(name: string, delayMs: number, againMs?: number): CreateBody
  read(): Note[]
  of(name: string): Note[]
  remove(): Promise<void>
}

/** `at` is in Unix milliseconds. Every run begins; it is done or aborted where its process lived so long. */
export interface Note {
  at: number
  name: string
  what: 'begun' | 'done' | 'aborted'
}
