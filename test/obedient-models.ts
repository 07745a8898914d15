import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Two models that return whatever their input says: `module` runs its `source`, `command` prints. */
export async function writeObedientModels(folder: string): Promise<void> {
  const program = join(folder, '_command.mjs')
  const description = {
    namespace: 'command',
    type: 'data',
    input_schema: { type: 'object' },
    provider: { kind: 'command', command: [process.execPath, program] },
  }
  await Promise.all([
    writeFile(join(folder, 'module.mjs'), module),
    writeFile(program, command),
    writeFile(join(folder, 'command.json'), JSON.stringify(description)),
  ])
}

const module = `
  const deep = (levels) => { let value = 'x'; for (let n = 0; n < levels; n++) value = [value]; return value }
  export default {
    namespace: 'module', type: 'data', input_schema: { type: 'object' },
    run: ({ source }, context) => eval('(' + source + ')')(context),
  }`

const command = `
  import { json } from 'node:stream/consumers'
  const { before = '', fill = '', times = 0, after = '\\n' } = await json(process.stdin)
  process.stdout.write(Buffer.concat([before, fill.repeat(times), after].map((text) => Buffer.from(text, 'latin1'))))`

/** What the command prints: bytes as Latin-1, one part of it many times. */
export interface Print {
  before?: string
  fill?: string
  times?: number
  after?: string
}
