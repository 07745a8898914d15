import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { scenarios } from './all.ts'
import { type Outcome, play } from './play.ts'
import type { QueueKind, Scenario } from './scenario.ts'

// `npm run faults`: every fault on both queues, one after the other. What has passed already is not run again until
// `--fresh`, so a run that was ended early goes on where it was.
const { values: wanted } = parseArgs({
  options: {
    only: { type: 'string' },
    queue: { type: 'string' },
    seed: { type: 'string' },
    predictions: { type: 'string', default: '5000' },
    minutes: { type: 'string', default: '75' },
    fresh: { type: 'boolean', default: false },
  },
})
const folder = resolve('.faults')
const resultsFile = join(folder, 'results.json')
const seed = Number(wanted.seed ?? Date.now() % 1_000_000)
const deadline = Date.now() + Number(wanted.minutes) * 60_000

if (wanted.fresh) await rm(folder, { recursive: true, force: true })
await mkdir(folder, { recursive: true })
const results = await readResults()
console.log(
  `seed ${seed}, ${wanted.predictions} predictions a fault; histories of broken promises stay in ${folder}`,
)
let failed = 0
let left = 0
for (const [scenario, queue] of chosen()) {
  const name = `${scenario.name} (${queue})`
  if (results[name]?.breaches.length === 0 && !wanted.only) continue
  if (Date.now() > deadline) {
    left++
    continue
  }
  const outcome = await playTimed(scenario, queue)
  results[name] = outcome
  await writeFile(resultsFile, `${JSON.stringify(results, null, 2)}\n`)
  if (outcome.breaches.length > 0) failed++
  console.log(`${outcome.breaches.length === 0 ? '✓' : '✗'} ${name}  ${inWords(outcome)}`)
  for (const breach of outcome.breaches.slice(0, 20)) console.log(`    ${breach}`)
}
const passed = Object.values(results).filter(({ breaches }) => breaches.length === 0).length
console.log(`\n${passed} passed, ${failed} failed${left > 0 ? `, ${left} left: run it again to go on` : ''}`)
process.exit(failed > 0 || left > 0 ? 1 : 0)

function chosen(): [Scenario, QueueKind][] {
  const names = wanted.only?.split(',')
  const unknown = names?.find((name) => !scenarios.some((scenario) => scenario.name === name))
  if (unknown)
    throw new Error(`No fault is called ${unknown}: ${scenarios.map(({ name }) => name).join(', ')}`)
  return scenarios
    .filter(({ name }) => names?.includes(name) ?? true)
    .flatMap((scenario) =>
      (scenario.queues ?? (['redis', 'postgres'] as const))
        .filter((queue) => wanted.queue === undefined || queue === wanted.queue)
        .map((queue): [Scenario, QueueKind] => [scenario, queue]),
    )
}

async function playTimed(scenario: Scenario, queue: QueueKind): Promise<Result> {
  const begun = performance.now()
  const size = { predictions: Number(wanted.predictions), long: true }
  const outcome = await play(scenario, { queue, seed, size, folder })
  return { ...outcome, seed, seconds: Math.round((performance.now() - begun) / 1000) }
}

function inWords({ seconds, figures, breaches, history }: Result): string {
  const measured = Object.entries(figures).map(([name, value]) => `${name} ${Math.round(value)}`)
  return [`${seconds} s`, ...measured, ...(breaches.length > 0 ? [history] : [])].join(', ')
}

async function readResults(): Promise<Record<string, Result>> {
  return readFile(resultsFile, 'utf8').then(JSON.parse, () => ({}))
}

type Result = Outcome & { seed: number; seconds: number }
