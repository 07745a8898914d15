import { mkdir, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { orExit } from '@millrace/process/or-exit'
import { type Outcome, play } from './play.ts'
import { isOf, nameOf, type Result, readCommit, readResults, writeResults } from './results.ts'
import type { QueueKind, Scenario } from './scenario.ts'
import { readWanted } from './wanted.ts'

// `npm run faults`: every fault on both queues, one after the other. What has passed already is not run again until
// `--fresh`, so a run that was ended early goes on where it was.
const wanted = orExit(() => readWanted(process.argv.slice(2)))
const folder = resolve('.faults')
const resultsFile = join(folder, 'results.json')
const deadline = Date.now() + wanted.minutes * 60_000

// An exit, and not a drain: what the world has started ends with this process.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => {
    console.log('\nended early; run it again to go on')
    process.exit(130)
  })
}

if (wanted.fresh) await rm(folder, { recursive: true, force: true })
await mkdir(folder, { recursive: true })
const results = await readResults(resultsFile)
const commit = await readCommit()
const passedBefore = wanted.pairs.filter(([scenario, queue]) => !wanted.again && hasPassed(scenario, queue))
console.log(
  `seed ${wanted.seed}, ${wanted.predictions} predictions a fault; histories of broken promises stay in ${folder}`,
)
if (passedBefore.length > 0) {
  const older = passedBefore.filter(([scenario, queue]) => !isPassOfNow(scenario, queue)).length
  const ofOthers = older > 0 ? `, ${older} of them at another commit` : ''
  console.log(
    `${passedBefore.length} of ${wanted.pairs.length} passed before${ofOthers}; --fresh runs them again`,
  )
}
const counts = { passed: passedBefore.length, failed: 0, left: 0 }
for (const pair of wanted.pairs) {
  if (passedBefore.includes(pair)) continue
  if (Date.now() >= deadline) counts.left++
  else if (await playOne(...pair)) counts.passed++
  else counts.failed++
}
const rest = counts.left > 0 ? `, ${counts.left} left: run it again to go on` : ''
console.log(`\n${counts.passed} passed, ${counts.failed} failed${rest}`)
process.exit(counts.failed > 0 || counts.left > 0 ? 1 : 0)

async function playOne(scenario: Scenario, queue: QueueKind): Promise<boolean> {
  const { seed, predictions } = wanted
  const begun = performance.now()
  const outcome = await play(scenario, { queue, seed, size: { predictions, long: true }, folder }).catch(
    (error: Error): Outcome => ({
      breaches: [`It could not be played: ${error.message}`],
      figures: {},
      history: '',
    }),
  )
  const result: Result = {
    ...outcome,
    seed,
    seconds: Math.round((performance.now() - begun) / 1000),
    ...(commit && { commit }),
  }
  results[nameOf(scenario, queue)] = result
  await writeResults(resultsFile, results)
  const passed = hasPassed(scenario, queue)
  console.log(`${passed ? '✓' : '✗'} ${nameOf(scenario, queue)}  ${inWords(result)}`)
  for (const breach of outcome.breaches.slice(0, 20)) console.log(`    ${breach}`)
  return passed
}

function hasPassed(scenario: Scenario, queue: QueueKind): boolean {
  return results[nameOf(scenario, queue)]?.breaches.length === 0
}

function isPassOfNow(scenario: Scenario, queue: QueueKind): boolean {
  const result = results[nameOf(scenario, queue)]
  return result !== undefined && isOf(result, commit)
}

function inWords({ seconds, figures, breaches, history }: Result): string {
  const measured = Object.entries(figures).map(([name, value]) => `${name} ${Math.round(value)}`)
  return [`${seconds} s`, ...measured, ...(breaches.length > 0 ? [history] : [])].join(', ')
}
