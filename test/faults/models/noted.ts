import { appendFileSync } from 'node:fs'
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
      delay_ms: { type: 'integer', minimum: 0 },
    },
  },
  async run({ notes, name, delay_ms }, { signal }) {
    const note = (what: string) =>
      appendFileSync(String(notes), `${JSON.stringify({ at: Date.now(), name, what })}\n`)
    note('begun')
    try {
      await sleep(Number(delay_ms), undefined, { signal })
    } catch (error) {
      note('aborted')
      throw error
    }
    note('done')
    return { name }
  },
}

export default noted
