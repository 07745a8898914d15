import { readdir, readFile } from 'node:fs/promises'
import { type Result, tableOf } from './table.ts'
import type { Size } from './work.ts'

/** docs/performance.md with the report between its marks. Throws where it has none. */
export function withReport(page: string, report: string): string {
  const [, before, after] = /^(.*<!-- bench: [^>]*-->\n).*(<!-- \/bench -->.*)$/s.exec(page) ?? []
  if (before === undefined || after === undefined) throw new Error('The page has no <!-- bench: … --> marks')
  return `${before}\n${report}\n\n${after}`
}

/** What stands there: the newest whole run, or that there was none. */
export async function newestReport(): Promise<string> {
  const files = await readdir(folder).catch(() => [])
  const newest = files.filter((name) => /^\d{4}-\d\d-\d\d\.json$/.test(name)).sort()
  const name = newest.at(-1)
  if (name === undefined) return 'Nobody has done a whole run yet.'
  return reportOf(JSON.parse(await readFile(new URL(name, folder), 'utf8')), name.slice(0, 10))
}

const folder = new URL('results/', import.meta.url)

function reportOf({ machine, size, rounds, results }: Run, day: string): string {
  const memory = Math.round(machine.memory / 2 ** 30)
  const options = `\`--rounds ${rounds} --seconds ${size.seconds} --count ${size.count} --rows ${size.rows}\``
  return [
    `Measured on ${day} on ${machine.cores} cores (${machine.processor}) with ${memory} GB and Node ${machine.node}, with ${options}.`,
    '![Predictions a second, by work and contender](performance.svg)',
    tableOf(results),
  ].join('\n\n')
}

/** A file in `results`. */
export interface Run {
  machine: { cores: number; processor: string | undefined; memory: number; node: string }
  size: Size
  rounds: number
  results: Result[]
}
