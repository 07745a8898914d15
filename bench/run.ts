import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { cpus, totalmem } from 'node:os'
import { resolve } from 'node:path'
import { orExit } from '@millrace/process/or-exit'
import { chartOf } from './chart.ts'
import { newestReport, type Run, withReport } from './performance-page.ts'
import { profileInto } from './processes.ts'
import { startStores } from './stores.ts'
import { summarise, tableOf } from './table.ts'
import { readWanted } from './wanted.ts'
import type { Figures, Work } from './work.ts'
import { suites } from './works.ts'

// `npm run bench`: every contender does the same work in turn, several rounds of it, so that a machine whose speed
// drifts drifts for all of them. `--only accept,life`, `--against plain,raw` (parts of names), `--rounds`, `--seconds`,
// `--count`, `--rows`, `--requests`; `--profile <folder>` keeps a CPU profile of every process and what each statement
// cost. Only a run of a whole suite is kept, and goes into docs/performance.md.
const { works: wanted, against, profile, rounds, size } = orExit(() => readWanted(process.argv.slice(2)))
const profiles = profile && resolve(profile)
if (profiles) {
  await mkdir(profiles, { recursive: true })
  profileInto(profiles)
}
const takesPart = (name: string) => against?.some((part) => name.toLowerCase().includes(part)) ?? true

const stores = await startStores(profiles)
const measured: Measured[] = []
try {
  for (let round = 1; round <= rounds; round++) {
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

console.log(`\n${tableOf(summarise(wanted, measured))}`)
const folder = new URL('results/', import.meta.url)
await mkdir(folder, { recursive: true })
// The chart and the files of the day show everything, or nothing.
const whole = suites.filter(
  ({ works }) => against === undefined && works.every((work) => wanted.includes(work)),
)
const day = new Date().toISOString().slice(0, 10)
for (const { name, suffix, works } of whole) {
  const { results } = await keep(`${day}${suffix}.json`, works)
  if (name === 'predictions')
    await writeFile(new URL('../docs/performance.svg', import.meta.url), chartOf(results))
}
if (whole.length > 0) {
  const page = new URL('../docs/performance.md', import.meta.url)
  await writeFile(page, withReport(await readFile(page, 'utf8'), await newestReport()))
}
const others = wanted.filter((work) => !whole.some(({ works }) => works.includes(work)))
if (others.length > 0) await keep('part.json', others)
process.exit()

/** Writes down what came out of these works. */
async function keep(file: string, works: Work[]): Promise<Run> {
  const run = {
    machine: { cores: cpus().length, processor: cpus()[0]?.model, memory: totalmem(), node: process.version },
    size,
    rounds,
    results: summarise(works, measured),
    measured: measured.filter(({ work }) => works.some(({ name }) => name === work)),
  }
  await writeFile(new URL(file, folder), `${JSON.stringify(run, null, 2)}\n`)
  return run
}

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
