import { readdir, readFile } from 'node:fs/promises'
import { type Result, tableOf } from './table.ts'
import type { Size } from './work.ts'

/** docs/performance.md with the report between its marks. Throws where it has none. */
export function withReport(page: string, report: string): string {
  const [, before, after] = /^(.*<!-- bench: [^>]*-->\n).*(<!-- \/bench -->.*)$/s.exec(page) ?? []
  if (before === undefined || after === undefined) throw new Error('The page has no <!-- bench: … --> marks')
  return `${before}\n${report}\n\n${after}`
}

/** What stands there: the newest whole run of each suite. Of the gateway's nothing is said until there is one. */
export async function newestReport(): Promise<string> {
  const predictions = await newest(/^\d{4}-\d\d-\d\d\.json$/)
  const gateway = await newest(/^\d{4}-\d\d-\d\d-gateway\.json$/)
  return [
    predictions ? reportOf(predictions) : 'Nobody has done a whole run yet.',
    ...(gateway ? [gatewayReportOf(gateway)] : []),
  ].join('\n\n')
}

async function newest(pattern: RegExp): Promise<KeptRun | undefined> {
  const files = await readdir(folder).catch(() => [])
  const name = files
    .filter((name) => pattern.test(name))
    .sort()
    .at(-1)
  if (name === undefined) return
  return { ...JSON.parse(await readFile(new URL(name, folder), 'utf8')), day: name.slice(0, 10) }
}

const folder = new URL('results/', import.meta.url)

function reportOf(run: KeptRun): string {
  const { size, rounds, results } = run
  const options = `\`--rounds ${rounds} --seconds ${size.seconds} --count ${size.count} --rows ${size.rows}\``
  return [
    `${measuredOn(run)}, with ${options}.`,
    '![Predictions a second, by work and contender](performance.svg)',
    tableOf(results),
  ].join('\n\n')
}

function gatewayReportOf(run: KeptRun): string {
  const { size, rounds, results } = run
  const options = `--rounds ${rounds} --seconds ${size.seconds} --requests ${size.requests}`
  return [
    '### Chat completions through the api',
    `${measuredOn(run)}. The model's host, a process on the same machine, answers at once, and so does what is measured as \`direct\`: the same request without a gateway. Below each table stands what measures it.`,
    ...results.flatMap((result) => [
      tableOf([result]),
      `\`npm run bench -- --only ${result.name} ${options}\``,
    ]),
  ].join('\n\n')
}

function measuredOn({ machine, day }: KeptRun): string {
  const memory = Math.round(machine.memory / 2 ** 30)
  return `Measured on ${day} on ${machine.cores} cores (${machine.processor}) with ${memory} GB and Node ${machine.node}`
}

/** A file in `results`. */
export interface Run {
  machine: { cores: number; processor: string | undefined; memory: number; node: string }
  size: Size
  rounds: number
  results: Result[]
}

interface KeptRun extends Run {
  /** From the name of its file. */
  day: string
}
