import { appendFileSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { PlainModel } from '@millrace/models/define-model'

/** Takes its time, and notes in a file what is done with it: so a scenario knows also of runs that nobody heard of again. */
const noted: PlainModel = {
  namespace: 'noted',
  type: 'data',
  concurrency: 16,
  testOnly: true,
  input_schema: {
    type: 'object',
    required: ['notes', 'name', 'delay_ms'],
    properties: {
      notes: { type: 'string', title: 'The file for its notes' },
      name: { type: 'string', title: 'What it is called in them' },
      word: { type: 'string', title: 'What it returns beside its name' },
      delay_ms: { type: 'integer', minimum: 0 },
      file: { type: 'string', format: 'uri', title: 'A file to wait for before it begins' },
      again_ms: { type: 'integer', minimum: 0, title: 'How long every run but the first takes' },
    },
  },
  async run({ notes, name, word, delay_ms, again_ms = delay_ms }, { signal }) {
    const note = (what: string) =>
      appendFileSync(String(notes), `${JSON.stringify({ at: Date.now(), name, what })}\n`)
    const again = readFileSync(String(notes), 'utf8').includes(`"name":${JSON.stringify(name)},`)
    note('begun')
    try {
      await sleep(Number(again ? again_ms : delay_ms), undefined, { signal })
    } catch (error) {
      note('aborted')
      throw error
    }
    note('done')
    return { name, word }
  },
}

export default noted
