import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { cpus, totalmem } from 'node:os'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { chartOf } from './chart.ts'
import { newestReport, type Run, withReport } from './performance-page.ts'
import { profileInto } from './processes.ts'
import { startStores } from './stores.ts'
import { summarise, tableOf } from './table.ts'
import type { Figures } from './work.ts'
import { works } from './works.ts'

// `npm run bench`: every contender does the same work in turn, several rounds of it, so that a machine whose speed
// drifts drifts for all of them. `--only accept,life`, `--against plain,raw` (parts of names), `--rounds`, `--seconds`,
// `--count`, `--rows`; `--profile <folder>` keeps a CPU profile of every process and what each statement cost. Only a run
// of everything is kept, and goes into docs/performance.md.
const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    against: { type: 'string' },
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '10' },
    count: { type: 'string', default: '10000' },
    rows: { type: 'string', default: '1000000' },
    profile: { type: 'string' },
  },
})
const profiles = values.profile && resolve(values.profile)
if (profiles) {
  await mkdir(profiles, { recursive: true })
  profileInto(profiles)
}
const size = { seconds: Number(values.seconds), count: Number(values.count), rows: Number(values.rows) }
const names = values.only?.split(',')
const wanted = works.filter(({ name }) => names?.includes(name) ?? true)
const parts = values.against?.split(',').map((part) => part.toLowerCase())
const takesPart = (name: string) => parts?.some((part) => name.toLowerCase().includes(part)) ?? true

const stores = await startStores(profiles)
const measured: Measured[] = []
try {
  for (let round = 1; round <= Number(values.rounds); round++) {
    for (const work of wanted) {
      for (const row of work.rows.filter(({ name, once }) => takesPart(name) && (round === 1 || !once))) {
        const figures = await row.measure(stores, size)
        measured.push({ work: work.name, row: row.name, round, figures })
        console.log(`${round} ${work.name}  ${row.name}  ${inWords(figures)}`)
      }
    }
  }
} finally {
  await stores.stop()
}

const results = summarise(wanted, measured)
console.log(`\n${tableOf(results)}`)
const machine = {
  cores: cpus().length,
  processor: cpus()[0]?.model,
  memory: totalmem(),
  node: process.version,
}
const folder = new URL('results/', import.meta.url)
await mkdir(folder, { recursive: true })
// The chart and the file of the day show everything, or nothing.
const isWhole = names === undefined && parts === undefined
const day = new Date().toISOString().slice(0, 10)
const kept: Run & { measured: Measured[] } = {
  machine,
  size,
  rounds: Number(values.rounds),
  results,
  measured,
}
await writeFile(new URL(isWhole ? `${day}.json` : 'part.json', folder), `${JSON.stringify(kept, null, 2)}\n`)
if (isWhole) {
  await writeFile(new URL('../docs/performance.svg', import.meta.url), chartOf(results))
  const page = new URL('../docs/performance.md', import.meta.url)
  await writeFile(page, withReport(await readFile(page, 'utf8'), await newestReport()))
}
process.exit()

function inWords(figures: Figures): string {
  return Object.entries(figures)
    .map(([name, value]) => `${name} ${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)}`)
    .join(', ')
}

export interface Measured {
  work: string
  row: string
  round: number
  figures: Figures
}
